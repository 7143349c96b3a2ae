"""Strands Agents' MCP client."""
import asyncio

from driver import NAME, Client, main
from mcp.types import ElicitResult
from strands.tools.mcp import MCPClient


class Library(Client):
    async def connect(self, url):
        loop = asyncio.get_running_loop()
        self.client = MCPClient(url=url, elicitation_callback=self.answer,
                                on_tools_changed=lambda *_: loop.call_soon_threadsafe(self.noticed.set))
        await asyncio.to_thread(self.client.start)

    async def answer(self, _context, _params):
        return ElicitResult(action="accept", content=NAME)

    async def list(self):
        return [tool.tool_name for tool in await asyncio.to_thread(self.client.list_tools_sync)]

    async def call(self, tool, arguments, progress=None):
        result = await self.client.call_tool_async("1", tool, arguments, progress_callback=progress)
        return result["content"][0]["text"]

    async def progress(self):
        await self.call(self.tool("steps"), {}, self.on_progress_async)
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})

    async def notice(self):
        return await self.changed()


main(Library)
