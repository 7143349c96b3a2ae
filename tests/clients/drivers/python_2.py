"""The official Python SDK 2, in the mode of argv[1]."""
import asyncio, sys

import mcp_types as types
from driver import NAME, Client, main
from mcp.client.client import Client as SdkClient


class Sdk(Client):
    async def connect(self, url):
        client = SdkClient(url, mode=sys.argv[1], elicitation_callback=self.answer, message_handler=self.message)
        self.client = await self.stack.enter_async_context(client)
        return self.client.protocol_version

    async def answer(self, _context, _params):
        return types.ElicitResult(action="accept", content=NAME)

    async def message(self, message):
        if "list_changed" in str(getattr(message, "method", "")):
            self.noticed.set()

    async def list(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, arguments):
        return (await self.client.call_tool(tool, arguments)).content[0].text

    async def progress(self):
        await self.client.call_tool(self.tool("steps"), {}, progress_callback=self.on_progress_async)
        await asyncio.sleep(0.2)
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})

    async def notice(self):
        if self.client.protocol_version < "2026":
            return await self.changed()
        async with self.client.listen(tools_list_changed=True) as events:
            await self.call(self.tool("change"), {})
            async for _ in events:
                return "noticed"


main(Sdk)
