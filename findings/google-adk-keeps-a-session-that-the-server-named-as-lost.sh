#!/usr/bin/env bash
# google-adk 2.13.0 recovers from a lost MCP session if the server's 404 is empty, and never if the 404 says what is wrong.
#
# Agents of ADK meet it at every server or gateway over Streamable HTTP that restarts or drops idle sessions.
# The specification (2025-11-25) lets a server answer 404 to a session it no longer has, and the client then initializes
# anew. The Python SDK 2.3.0 turns a 404 without a JSON-RPC error into an error of its own, -32600 "Session terminated", and
# hands on the error of the body where there is one. ADK discards its pooled session for the former only. The servers of the
# official SDKs put an error into the body: -32001 "Session not found" (TypeScript), -32600 "Session not found" (Python).
# With these the toolset keeps the dead session for as long as it is used: listing the tools fails, and calling one does,
# although every answer of the server says why. With the Python SDK 1.30.0, which looks at the status only, the same ADK
# recovers from all of them at the price of one failed call; so an update of the SDK is what breaks it.
#
# Each case below has a server of its own that forgets its sessions once, after the first call. Then the tool is called
# three times more, and the toolset is asked for its tools once more.
#
# Output seen on 30 November 2026 (Python 3.11):
#   google-adk 2.13.0, mcp 2.3.0
#   404, empty: calls works, fails, works, works; listing works; sessions opened: 2
#   404, -32001 Session not found: calls works, fails, fails, fails; listing fails; sessions opened: 1
#   404, -32600 Session not found: calls works, fails, fails, fails; listing fails; sessions opened: 1
#   google-adk 2.13.0, mcp 1.30.0
#   404, empty: calls works, fails, works, works; listing works; sessions opened: 2
#   404, -32001 Session not found: calls works, fails, works, works; listing works; sessions opened: 2
#   404, -32600 Session not found: calls works, fails, works, works; listing works; sessions opened: 2
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for sdk in 2.3.0 1.30.0; do
  python3 -m venv "env-$sdk"
  timeout 300 "env-$sdk/bin/pip" --quiet install 'google-adk[mcp]==2.13.0' "mcp==$sdk"
done
cat >lost.py <<'PY'
import asyncio
import json
import logging
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from google.adk.agents import LlmAgent
from google.adk.agents.invocation_context import InvocationContext
from google.adk.sessions import InMemorySessionService
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams
from google.adk.tools.tool_context import ToolContext

TOOL = {"name": "ping", "description": "Answers.", "inputSchema": {"type": "object", "properties": {}}}


class Server(ThreadingHTTPServer):
    """A server of 2025-11-25 that answers the first call and then forgets every session it has, once."""

    daemon_threads = True

    def __init__(self, lost):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lost, self.sessions, self.opened, self.forgotten = lost, set(), 0, False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, message=None, session=None):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        if session:
            self.send_header("Mcp-Session-Id", session)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(405)

    def do_DELETE(self):
        self.server.sessions.discard(self.headers.get("Mcp-Session-Id"))
        self.reply(200)

    def do_POST(self):
        server = self.server
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, session = message["method"], self.headers.get("Mcp-Session-Id")
        if method == "initialize":
            server.opened += 1
            session = f"session-{server.opened}"
            server.sessions.add(session)
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "forgetful", "version": "1"},
            }
            return self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, session)
        if session is None:
            error = {"code": -32000, "message": "Bad Request: Mcp-Session-Id is missing"}
            return self.reply(400, {"jsonrpc": "2.0", "id": None, "error": error})
        if session not in server.sessions:
            return self.reply(404, server.lost and {"jsonrpc": "2.0", "id": None, "error": server.lost})
        if "id" not in message:
            return self.reply(202)
        if method == "tools/list":
            result = {"tools": [TOOL]}
        elif method == "tools/call":
            result = {"content": [{"type": "text", "text": "pong"}]}
            if not server.forgotten:
                server.forgotten = True
                server.sessions.clear()
        else:
            result = {}
        self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})


async def outcome(awaitable):
    try:
        result = await asyncio.wait_for(awaitable, 20)
    except Exception:
        return "fails"
    return "fails" if isinstance(result, dict) and "content" not in result else "works"


async def case(name, lost):
    server = Server(lost)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    params = StreamableHTTPConnectionParams(url=f"http://127.0.0.1:{server.server_port}/mcp", timeout=10)
    toolset = McpToolset(connection_params=params)
    sessions = InMemorySessionService()
    invocation = InvocationContext(
        session_service=sessions,
        session=await sessions.create_session(app_name="finding", user_id="user"),
        agent=LlmAgent(name="agent", tools=[toolset]),
        invocation_id="1",
    )
    (tool,) = await toolset.get_tools()
    calls = [await outcome(tool.run_async(args={}, tool_context=ToolContext(invocation))) for _ in range(4)]
    listing = await outcome(toolset.get_tools())
    print(f"{name}: calls {', '.join(calls)}; listing {listing}; sessions opened: {server.opened}", flush=True)
    await toolset.close()
    server.shutdown()


async def main():
    print(f"google-adk {version('google-adk')}, mcp {version('mcp')}")
    await case("404, empty", None)
    await case("404, -32001 Session not found", {"code": -32001, "message": "Session not found"})
    await case("404, -32600 Session not found", {"code": -32600, "message": "Session not found"})


asyncio.run(main())
PY
for sdk in 2.3.0 1.30.0; do
  timeout 150 "env-$sdk/bin/python" lost.py 2>/dev/null
done | tee seen
diff seen - <<'EXPECTED'
google-adk 2.13.0, mcp 2.3.0
404, empty: calls works, fails, works, works; listing works; sessions opened: 2
404, -32001 Session not found: calls works, fails, fails, fails; listing fails; sessions opened: 1
404, -32600 Session not found: calls works, fails, fails, fails; listing fails; sessions opened: 1
google-adk 2.13.0, mcp 1.30.0
404, empty: calls works, fails, works, works; listing works; sessions opened: 2
404, -32001 Session not found: calls works, fails, works, works; listing works; sessions opened: 2
404, -32600 Session not found: calls works, fails, works, works; listing works; sessions opened: 2
EXPECTED
