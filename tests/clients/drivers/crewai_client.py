"""CrewAI's MCP server adapter, which is synchronous."""
import asyncio

from crewai.utilities.string_utils import sanitize_tool_name
from crewai_tools import MCPServerAdapter
from driver import Client, main


class Library(Client):
    def tool(self, name):
        return sanitize_tool_name(super().tool(name))

    async def connect(self, url):
        server = {"url": url, "transport": "streamable-http"}
        self.server = await asyncio.to_thread(MCPServerAdapter, server)
        self.tools = {tool.name: tool for tool in self.server.tools}

    async def list(self):
        return list(self.tools)

    async def call(self, tool, arguments):
        return await asyncio.to_thread(self.tools[tool].run, **arguments)


main(Library)
