#!/usr/bin/env bash
# One `settings.json`, two programs: a server with a `url` is Streamable HTTP for Gemini CLI 0.61.0 and SSE for Qwen Code
# 0.15.10, its fork, which does not read `"type": "http"` either.
#
# Both read `mcpServers` from `settings.json` (`.gemini/` and `.qwen/`) with the same keys, and documents of both show `url`.
# Gemini CLI has changed its mind: `url` alone is Streamable HTTP now, and `type` can say `sse`. Qwen Code kept the rule from
# before the change: `httpUrl` is Streamable HTTP, `url` is SSE, whatever `type` says. So a file that is copied from one to
# the other opens a GET for an event stream at a server that expects a POST, and the server looks broken. A tool that
# converts such files has to know which program wrote them.
#
# The server below answers every request with 404 and writes down its method and path: `mcp list` of both tries to connect.
#
# Output seen on 1 December 2026 (Node 20):
#   @google/gemini-cli 0.61.0
#   one: http://127.0.0.1/one (http) POST
#   two: http://127.0.0.1/two (http) POST
#   three: http://127.0.0.1/three (sse) GET
#   four: http://127.0.0.1/four (http) POST
#   @qwen-code/qwen-code 0.15.10
#   one: http://127.0.0.1/one (sse) GET
#   two: http://127.0.0.1/two (sse) GET
#   three: http://127.0.0.1/three (sse) GET
#   four: http://127.0.0.1/four (http) POST
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
timeout 300 npm install --silent --no-audit --no-fund @google/gemini-cli@0.61.0 @qwen-code/qwen-code@0.15.10 >npm.log 2>&1 ||
    { cat npm.log; exit 1; }
cat >server.js <<'JS'
const { appendFileSync, writeFileSync } = require("fs");
const server = require("http").createServer((request, response) => {
  appendFileSync("requests", `${request.method} ${request.url}\n`);
  response.writeHead(404).end();
});
server.listen(0, "127.0.0.1", () => writeFileSync("port", String(server.address().port)));
JS
node server.js &
server=$!
for _ in $(seq 100); do [[ -s port ]] && break; sleep 0.1; done
port=$(cat port)
mkdir -p home project/.gemini project/.qwen
cat >project/.gemini/settings.json <<JSON
{"mcpServers": {
  "one": {"url": "http://127.0.0.1:$port/one"},
  "two": {"url": "http://127.0.0.1:$port/two", "type": "http"},
  "three": {"url": "http://127.0.0.1:$port/three", "type": "sse"},
  "four": {"httpUrl": "http://127.0.0.1:$port/four"}}}
JSON
cp project/.gemini/settings.json project/.qwen/settings.json
cases() {
    local package=$1 program=$2 listed name
    : >requests
    echo "$package $(node -p "require('./node_modules/$package/package.json').version")"
    listed=$(cd project && HOME=$work/home GEMINI_CLI_TRUST_WORKSPACE=true NO_COLOR=1 timeout 90 \
        "../node_modules/.bin/$program" mcp list 2>&1 | sed $'s/\e\\[[0-9;]*m//g')
    for name in one two three four; do
        listed_as=$(sed -n "s/.* \($name: .*\) - Disconnected.*/\1/p" <<<"$listed" | sed "s/:$port//")
        echo "$listed_as $(sed -n "s|^\([A-Z]*\) /$name.*|\1|p" requests | head -1)"
    done
}
{ cases @google/gemini-cli gemini; cases @qwen-code/qwen-code qwen; } | tee seen
diff seen - <<'EXPECTED'
@google/gemini-cli 0.61.0
one: http://127.0.0.1/one (http) POST
two: http://127.0.0.1/two (http) POST
three: http://127.0.0.1/three (sse) GET
four: http://127.0.0.1/four (http) POST
@qwen-code/qwen-code 0.15.10
one: http://127.0.0.1/one (sse) GET
two: http://127.0.0.1/two (sse) GET
three: http://127.0.0.1/three (sse) GET
four: http://127.0.0.1/four (http) POST
EXPECTED
