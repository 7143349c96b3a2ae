"""The official Python SDK 1 over stdio, with `mcp-proxy stdio` between it and the gateway."""
import asyncio, os

from driver import NAME, Client, main
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client


class Library(Client):
    async def connect(self, url):
        front = StdioServerParameters(command=os.environ["MCP_PROXY"], args=["stdio", "--url", url], env=dict(os.environ))
        read, write = await self.stack.enter_async_context(stdio_client(front))
        session = ClientSession(read, write, elicitation_callback=self.answer, message_handler=self.message)
        self.session = await self.stack.enter_async_context(session)
        await self.session.initialize()

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


main(Library)
