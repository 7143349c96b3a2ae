"""LlamaIndex's MCP client, which opens a session for each call."""
from driver import Client, main
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


class Library(Client):
    async def connect(self, url):
        self.client = BasicMCPClient(url)
        await self.list()

    async def list(self):
        return [tool.metadata.name for tool in await McpToolSpec(self.client).to_tool_list_async()]

    async def call(self, tool, arguments):
        return (await self.client.call_tool(tool, arguments)).content[0].text

    async def progress(self):
        await self.client.call_tool(self.tool("steps"), {}, progress_callback=self.on_progress_async)
        return self.steps_seen


main(Library)
