"""Agno's MCP tools, on FastMCP's client."""
from agno.tools.mcp import MCPTools
from driver import Client, main


class Library(Client):
    async def connect(self, url):
        self.tools = await self.stack.enter_async_context(MCPTools(url=url, transport="streamable-http"))

    async def list(self):
        return list(self.tools.functions)

    async def call(self, tool, arguments):
        return (await self.tools.functions[tool].entrypoint(**arguments)).content


main(Library)
