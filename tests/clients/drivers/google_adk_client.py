"""Google ADK's MCP toolset."""
from driver import NAME, Client, main
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams
from mcp.types import ElicitResult


class Library(Client):
    async def connect(self, url):
        self.toolset = McpToolset(connection_params=StreamableHTTPConnectionParams(url=url),
                                  progress_callback=self.on_progress_async, elicitation_callback=self.answer)
        await self.list()

    async def answer(self, _context, _params):
        return ElicitResult(action="accept", content=NAME)

    async def list(self):
        self.tools = {tool.name: tool for tool in await self.toolset.get_tools()}
        return list(self.tools)

    async def call(self, tool, arguments):
        result = await self.tools[tool].run_async(args=arguments, tool_context=None)
        return result["content"][0]["text"] if "content" in result else str(result)

    async def progress(self):
        await self.call(self.tool("steps"), {})
        return self.steps_seen

    async def ask(self):
        return await self.call(self.tool("ask"), {})


main(Library)
