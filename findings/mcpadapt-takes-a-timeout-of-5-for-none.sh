#!/usr/bin/env bash
# mcpadapt 0.1.19 has a timeout of 5 seconds for its calls, by default, and it is none: only 5.0 is one.
#
# mcpadapt turns the tools of a server into those of smolagents (1.26.0: `MCPClient`, `ToolCollection.from_mcp`) and
# crewai-tools (1.15.30: `MCPServerAdapter`), and both leave `client_session_timeout_seconds` at its default, 5. But
# mcpadapt looks whether the value is a `float` or a `timedelta`, and the int 5 is neither, so the session gets no limit at
# all; the same goes for everybody who sets 30 instead of 30.0. A type checker does not object: to it an int is fine where a
# float is asked for. So an agent waits for a slow call for as long as the server takes, unless somebody between them (a
# gateway, say) bounds the time. 0.1.20 (Python 3.12 and later) has the same lines.
#
# The tool below takes 6.5 seconds. (mcp is held at 1.30.0, because mcpadapt cannot be imported with 2.)
#
# Output seen on 30 November 2026 (Python 3.11):
#   mcpadapt 0.1.19, mcp 1.30.0
#   default: answered, 'done' after 6 s
#   5: answered, 'done' after 6 s
#   5.0: ended by the timeout after 5 s
#   timedelta(seconds=5): ended by the timeout after 5 s
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
timeout 300 env/bin/pip --quiet install mcpadapt==0.1.19 mcp==1.30.0 2>pip.log || { cat pip.log; exit 1; }
cat >server.py <<'PY'
import anyio
from mcp.server.fastmcp import FastMCP

server = FastMCP("slow", log_level="CRITICAL")


@server.tool()
async def slow() -> str:
    await anyio.sleep(6.5)
    return "done"


server.run()
PY
cat >client.py <<'PY'
import sys
import time
from datetime import timedelta
from importlib.metadata import version

from mcp import McpError, StdioServerParameters
from mcpadapt.core import MCPAdapt, ToolAdapter


class Plain(ToolAdapter):
    """Leaves a tool the function that it is."""

    def adapt(self, func, mcp_tool):
        return func


def case(name, **arguments):
    with MCPAdapt(StdioServerParameters(command=sys.executable, args=["server.py"]), Plain(), **arguments) as (slow,):
        started = time.monotonic()
        try:
            outcome = f"answered, {slow({}).content[0].text!r}"
        except McpError:
            outcome = "ended by the timeout"
        print(f"{name}: {outcome} after {int(time.monotonic() - started)} s", flush=True)


print(f"mcpadapt {version('mcpadapt')}, mcp {version('mcp')}", flush=True)
case("default")
case("5", client_session_timeout_seconds=5)
case("5.0", client_session_timeout_seconds=5.0)
case("timedelta(seconds=5)", client_session_timeout_seconds=timedelta(seconds=5))
PY
timeout 90 env/bin/python client.py 2>/dev/null | tee seen
diff seen - <<'EXPECTED'
mcpadapt 0.1.19, mcp 1.30.0
default: answered, 'done' after 6 s
5: answered, 'done' after 6 s
5.0: ended by the timeout after 5 s
timedelta(seconds=5): ended by the timeout after 5 s
EXPECTED
