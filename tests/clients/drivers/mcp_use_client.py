"""mcp-use's client."""
from driver import NAME, Client, main
from mcp.types import ElicitResult, ToolListChangedNotification
from mcp_use import MCPClient


class Library(Client):
    async def connect(self, url):
        config = {"mcpServers": {"server": {"url": url}}}
        client = MCPClient(config, elicitation_callback=self.answer, message_handler=self.message)
        self.session = await client.create_session("server")

    async def answer(self, _context, _params):
        return ElicitResult(action="accept", content=NAME)

    async def message(self, message):
        if isinstance(getattr(message, "root", None), ToolListChangedNotification):
            self.noticed.set()

    async def list(self):
        return [tool.name for tool in await self.session.list_tools()]

    async def call(self, tool, arguments):
        return (await self.session.call_tool(tool, arguments)).content[0].text

    async def ask(self):
        return await self.call(self.tool("ask"), {})

    async def notice(self):
        return await self.changed()


main(Library)
