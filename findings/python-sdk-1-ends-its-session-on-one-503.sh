#!/usr/bin/env bash
# One call that a server answers with 503 or 429 ends the whole session of a client on the MCP Python SDK 1.30.0, and
# cancels the caller's task instead of raising an error; the SDK 2.3.0 raises an error for that call and goes on.
#
# Over Streamable HTTP the SDK 1 posts each request in a task of its transport's task group, and there raises for every
# status of 400 and more except 404 (which it gives back as an error of the request). The exception cancels the task group,
# and with it the code in the `async with`, so that `except Exception` around `call_tool` sees nothing: what arrives is
# `CancelledError`. The status itself is told only when the block has ended, as an ExceptionGroup. So "busy, try again in a
# second" from a load balancer, a rate limit or a gateway costs every call and the session. A server that wants this client
# to go on has to answer such a call with 200 and a JSON-RPC error.
#
# The server below answers the second call with the status, and all others with a result.
#
# Output seen on 30 November 2026 (Python 3.11):
#   mcp 1.30.0, 503: 1 answered; 2 CancelledError; 3 CancelledError; the session ended with HTTPStatusError
#   mcp 1.30.0, 429: 1 answered; 2 CancelledError; 3 CancelledError; the session ended with HTTPStatusError
#   mcp 1.30.0, 404: 1 answered; 2 McpError; 3 answered; the session lives
#   mcp 2.3.0, 503: 1 answered; 2 MCPError; 3 answered; the session lives
#   mcp 2.3.0, 429: 1 answered; 2 MCPError; 3 answered; the session lives
# Exits with 1 when this changes.
set -euo pipefail
script=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 1.30.0 2.3.0; do
    python3 -m venv "env-$version"
    timeout 300 "env-$version/bin/pip" --quiet install "mcp==$version" 2>pip.log || { cat pip.log; exit 1; }
done
cat >client.py <<'PY'
import asyncio
import http.server
import json
import sys
import threading
from importlib.metadata import version

from mcp import ClientSession
from mcp.client import streamable_http

STATUS = int(sys.argv[1])
connect = getattr(streamable_http, "streamablehttp_client", None) or streamable_http.streamable_http_client


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls = 0

    def log_message(self, *_):
        pass

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(405)

    def do_DELETE(self):
        self.answer(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" not in message:
            return self.answer(202)
        if message["method"] == "initialize":
            result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "server", "version": "1"}}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
        else:
            Server.calls += 1
            if Server.calls == 2:
                return self.answer(STATUS, b'{"error":"busy"}')
            result = {"content": [{"type": "text", "text": "done"}]}
        self.answer(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


def leaves(error):
    return [leaf for inner in error.exceptions for leaf in leaves(inner)] if hasattr(error, "exceptions") else [error]


async def use(port, seen):
    async with connect(f"http://127.0.0.1:{port}/mcp") as streams, ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        for number in 1, 2, 3:
            try:
                await asyncio.wait_for(session.call_tool("echo", {}), 5)
                seen.append(f"{number} answered")
            except BaseException as error:
                seen.append(f"{number} {type(error).__name__}")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = []
try:
    asyncio.run(use(server.server_port, seen))
    seen.append("the session lives")
except BaseException as error:
    seen.append(f"the session ended with {', '.join(sorted({type(leaf).__name__ for leaf in leaves(error)}))}")
print(f"mcp {version('mcp')}, {STATUS}: {'; '.join(seen)}")
PY
for case in "1.30.0 503" "1.30.0 429" "1.30.0 404" "2.3.0 503" "2.3.0 429"; do
    read -r version status <<<"$case"
    timeout 60 "env-$version/bin/python" client.py "$status"
done | tee seen.txt
sed -n "s/^#   \(mcp .*\)/\1/p" "$script" | diff - seen.txt
