"""OpenAI's Agents SDK."""
from agents.mcp import MCPServerStreamableHttp
from driver import Client, main


class Library(Client):
    async def connect(self, url):
        self.server = MCPServerStreamableHttp({"url": url}, message_handler=self.message)
        await self.server.connect()

    async def message(self, message):
        if "list_changed" in str(getattr(message, "method", "")):
            self.noticed.set()

    async def list(self):
        return [tool.name for tool in await self.server.list_tools()]

    async def call(self, tool, arguments):
        return (await self.server.call_tool(tool, arguments)).content[0].text

    async def notice(self):
        return await self.changed()


main(Library)
