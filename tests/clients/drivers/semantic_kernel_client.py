"""Semantic Kernel's MCP plugin."""
from driver import Client, main
from semantic_kernel import Kernel
from semantic_kernel.connectors.mcp import MCPStreamableHttpPlugin


class Library(Client):
    async def connect(self, url):
        self.kernel, noticed = Kernel(), self.noticed

        class Plugin(MCPStreamableHttpPlugin):
            # The handler of the library waits for an answer in the loop that reads answers, so it never returns.
            async def message_handler(self, message):
                if getattr(getattr(message, "root", None), "method", "") == "notifications/tools/list_changed":
                    noticed.set()

        self.server = await self.stack.enter_async_context(Plugin(name="server", url=url))
        self.functions = self.kernel.add_plugin(self.server).functions

    async def list(self):
        return list(self.functions)

    async def call(self, tool, arguments):
        return str(await self.kernel.invoke(self.functions[tool], **arguments))

    async def notice(self):
        return await self.changed()


main(Library)
