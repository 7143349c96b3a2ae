"""Pydantic AI's toolset, on FastMCP's client."""
from driver import NAME, Client, main
from pydantic_ai.mcp import MCPToolset


class Library(Client):
    async def connect(self, url):
        toolset = MCPToolset(url, tool_error_behavior="error", elicitation_handler=self.answer,
                             progress_handler=self.on_progress_async, message_handler=self.message)
        self.toolset = await self.stack.enter_async_context(toolset)

    async def answer(self, message, response_type, params, context):
        return response_type(**NAME) if response_type else NAME

    async def message(self, message):
        if "list_changed" in str(getattr(message, "method", "")):
            self.noticed.set()

    async def list(self):
        return [tool.name for tool in await self.toolset.list_tools()]

    async def call(self, tool, arguments):
        return str(await self.toolset.direct_call_tool(tool, arguments))

    async def progress(self):
        await self.call(self.tool("steps"), {})
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})

    async def notice(self):
        return await self.changed()


main(Library)
