"""A server of both eras over Streamable HTTP (Python SDK 2), on the port in argv[1], with one tool for each step of `run`."""
import sys
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from pydantic import BaseModel

server = MCPServer("both")


class Name(BaseModel):
    name: str


def who() -> Elicit[Name]:
    return Elicit("Your name?", Name)


@server.tool()
def add(a: int, b: int) -> dict[str, int]:
    """Adds."""
    return {"sum": a + b}


@server.tool()
async def steps(ctx: Context) -> str:
    """Reports progress three times."""
    for step in range(1, 4):
        await ctx.report_progress(step, 3)
    return "done"


@server.tool()
def ask(name: Annotated[Name, Resolve(who)]) -> str:
    """Asks the client's user."""
    return f"Hello, {name.name}!"


@server.tool()
async def change(ctx: Context) -> str:
    """Adds a tool, and tells."""
    server.add_tool(lambda: "more", name="more", description="More.")
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "changed"


server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
