"""FastMCP's client."""
from driver import NAME, Client, main
from fastmcp import Client as FastMcpClient
from fastmcp.client.messages import MessageHandler


class Library(Client):
    async def connect(self, url):
        noticed = self.noticed

        class Handler(MessageHandler):
            async def on_tool_list_changed(self, message):
                noticed.set()

        client = FastMcpClient(url, elicitation_handler=self.answer, message_handler=Handler())
        self.client = await self.stack.enter_async_context(client)

    async def answer(self, message, response_type, params, context):
        return response_type(**NAME) if response_type else NAME

    async def list(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, tool, arguments):
        return (await self.client.call_tool(tool, arguments)).content[0].text

    async def progress(self):
        await self.client.call_tool(self.tool("steps"), {}, progress_handler=self.on_progress_async)
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})

    async def notice(self):
        return await self.changed()


main(Library)
