"""smolagents' MCP client, which is synchronous."""
import asyncio

from driver import Client, main
from smolagents import MCPClient


class Library(Client):
    async def connect(self, url):
        server = {"url": url, "transport": "streamable-http"}
        self.client = await asyncio.to_thread(MCPClient, server, structured_output=False)
        self.tools = {tool.name: tool for tool in self.client.get_tools()}

    async def list(self):
        return list(self.tools)

    async def call(self, tool, arguments):
        return await asyncio.to_thread(self.tools[tool], **arguments)


main(Library)
