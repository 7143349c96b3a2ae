#!/usr/bin/env bash
# mcp-remote 0.15.1 refreshes an access token that lives for 60 s or less before every single request.
#
# mcp-remote connects clients over stdio with servers over HTTP, and keeps their tokens in a folder. It takes a token for
# expired 60 s before its time, whatever its lifetime, so one that an authorization server issues for a minute is expired when it
# arrives. Each request then costs a refresh: only the authorization server sees the load, and one that rotates refresh tokens
# issues as many of those. Issue tokens for several minutes to clients behind mcp-remote.
#
# The server below is protected, has its own authorization server, and takes any of its tokens. The folder begins with a token
# and a refresh token, as after a login.
#
# Output seen on 1 December 2026 (Node 20):
#   mcp-remote 0.15.1
#   tokens for 60 s: 9 requests, 9 refreshes
#   tokens for 300 s: 9 requests, 0 refreshes
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
timeout 300 npm install --silent --no-audit --no-fund --ignore-scripts mcp-remote@0.15.1 >npm.log 2>&1 || { cat npm.log; exit 1; }
cat >run.py <<'PY'
import hashlib
import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTS = 5


class Server(ThreadingHTTPServer):
    lifetime = 0
    requests = 0
    refreshes = 0

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=None, **fields):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        base = self.server.base
        if "oauth-protected-resource" in self.path:
            self.reply(200, {"resource": f"{base}/mcp", "authorization_servers": [base]})
        elif "oauth-authorization-server" in self.path or "openid-configuration" in self.path:
            endpoints = {name: f"{base}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
            more = {"response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
            self.reply(200, {"issuer": base, **endpoints, **more})
        else:
            self.reply(405)

    def do_DELETE(self):
        self.reply(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/token_endpoint":
            assert b"grant_type=refresh_token" in body, body
            self.server.refreshes += 1
            token = {"access_token": "next", "token_type": "Bearer", "refresh_token": "refresh"}
            return self.reply(200, {**token, "expires_in": self.server.lifetime})
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            challenge = f'Bearer resource_metadata="{self.server.base}/.well-known/oauth-protected-resource/mcp"'
            return self.reply(401, {}, WWW_Authenticate=challenge)
        self.server.requests += 1
        message = json.loads(body)
        results = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "s", "version": "1"},
            },
            "tools/list": {"tools": []},
        }
        if "id" not in message:
            return self.reply(202)
        if message["method"] not in results:
            error = {"code": -32601, "message": "Method not found"}
            return self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        self.reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]})


def case(lifetime):
    server = Server(("127.0.0.1", 0), Handler)
    server.lifetime = lifetime
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"{server.base}/mcp"
    folder = os.path.abspath(f"store-{lifetime}")
    store = os.path.join(folder, "mcp-remote-v1")
    os.makedirs(store)
    name = os.path.join(store, hashlib.md5(url.encode()).hexdigest())
    tokens = {"access_token": "first", "token_type": "Bearer", "refresh_token": "refresh", "expires_in": lifetime}
    tokens["expires_at"] = int((time.time() + lifetime) * 1000)
    client = {"client_id": "c", "redirect_uris": ["http://localhost:3334/oauth/callback"]}
    for suffix, value in (("tokens.json", tokens), ("client_info.json", client)):
        with open(f"{name}_{suffix}", "w") as file:
            json.dump(value, file)
    process = subprocess.Popen(
        ["node", "node_modules/mcp-remote/dist/proxy.js", url, "3334", "--allow-http", "--transport", "http-only"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MCP_REMOTE_CONFIG_DIR": folder},
        text=True,
    )
    timer = threading.Timer(60, process.kill)
    timer.start()

    def ask(message):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()
        while "id" in message:
            line = process.stdout.readline()
            assert line, "mcp-remote ended"
            if json.loads(line).get("id") == message["id"]:
                return

    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    ask({"id": 0, "method": "initialize", "params": hello})
    ask({"method": "notifications/initialized"})
    for number in range(LISTS):
        ask({"id": number + 1, "method": "tools/list"})
    process.kill()
    timer.cancel()
    print(f"tokens for {lifetime} s: {server.requests} requests, {server.refreshes} refreshes")
    return server.requests, server.refreshes


with open("node_modules/mcp-remote/package.json") as file:
    print("mcp-remote", json.load(file)["version"])
short, long = case(60), case(300)
assert short[1] >= short[0] > LISTS and long[1] == 0 and long[0] > LISTS, "this has changed"
os._exit(0)
PY
timeout 200 python3 run.py
