"""The official Python SDK 1, over Streamable HTTP, or over stdio with the command of argv in between, which ends with the URL."""
import asyncio, os, sys

from driver import NAME, Client, main
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


class Sdk(Client):
    def transport(self, url):
        if not sys.argv[1:]:
            return streamable_http_client(url)
        command, *arguments = map(os.path.expandvars, sys.argv[1:])
        return stdio_client(StdioServerParameters(command=command, args=[*arguments, url], env=dict(os.environ)))

    async def connect(self, url):
        read, write, *_ = await self.stack.enter_async_context(self.transport(url))
        session = ClientSession(read, write, elicitation_callback=self.answer, message_handler=self.message)
        self.session = await self.stack.enter_async_context(session)
        return (await self.session.initialize()).protocolVersion

    async def answer(self, _context, _params):
        return types.ElicitResult(action="accept", content=NAME)

    async def message(self, message):
        if isinstance(getattr(message, "root", None), types.ToolListChangedNotification):
            self.noticed.set()

    async def list(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, tool, arguments):
        return (await self.session.call_tool(tool, arguments)).content[0].text

    async def progress(self):
        await self.session.call_tool(self.tool("steps"), {}, progress_callback=self.on_progress_async)
        await asyncio.sleep(0.2)
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})

    async def notice(self):
        return await self.changed()


main(Sdk)
