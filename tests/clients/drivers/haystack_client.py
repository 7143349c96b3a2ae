"""Haystack's MCP toolset, which is synchronous."""
import asyncio

from driver import Client, main
from haystack_integrations.tools.mcp import MCPToolset, StreamableHttpServerInfo


class Library(Client):
    async def connect(self, url):
        toolset = MCPToolset(StreamableHttpServerInfo(url=url))
        await asyncio.to_thread(toolset.warm_up)
        self.tools = {tool.name: tool for tool in toolset}

    async def list(self):
        return list(self.tools)

    async def call(self, tool, arguments):
        return str(await asyncio.to_thread(self.tools[tool].invoke, **arguments))


main(Library)
