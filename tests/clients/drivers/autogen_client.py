"""AutoGen's MCP workbench."""
from autogen_ext.tools.mcp import McpWorkbench, StreamableHttpServerParams
from driver import Client, main


class Library(Client):
    async def connect(self, url):
        self.workbench = McpWorkbench(StreamableHttpServerParams(url=url))
        await self.workbench.start()
        await self.list()

    async def list(self):
        return [tool["name"] for tool in await self.workbench.list_tools()]

    async def call(self, tool, arguments):
        result = await self.workbench.call_tool(tool, arguments)
        if result.is_error:
            raise RuntimeError(result.to_text())
        return result.to_text()


main(Library)
