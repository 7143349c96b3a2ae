"""LangChain's MCP adapters, which open a session for each call."""
from driver import NAME, Client, main
from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp.types import ElicitResult


class Library(Client):
    async def connect(self, url):
        callbacks = Callbacks(on_progress=self.on_progress_async, on_elicitation=self.answer)
        connections = {"server": {"transport": "streamable_http", "url": url}}
        self.client = MultiServerMCPClient(connections, callbacks=callbacks, handle_tool_errors=False)
        await self.list()

    async def answer(self, *_):
        return ElicitResult(action="accept", content=NAME)

    async def list(self):
        self.tools = {tool.name: tool for tool in await self.client.get_tools()}
        return list(self.tools)

    async def call(self, tool, arguments):
        return str(await self.tools[tool].ainvoke(arguments))

    async def progress(self):
        await self.call(self.tool("steps"), {})
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})


main(Library)
