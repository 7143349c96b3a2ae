#!/usr/bin/env bash
# The MCP Python SDK 2.3.0 sends the application's OpenTelemetry baggage to every server that it calls, in `_meta.baggage`,
# also when no OpenTelemetry SDK is installed and nothing is traced; the SDK 1.30.0 sends none.
#
# The SDK 2 fills `_meta` of each request from the global propagator. Its comments speak of `traceparent` and `tracestate`,
# but the default propagator of `opentelemetry-api`, on which the SDK depends, is that of trace context and that of baggage.
# Without a tracer there is no `traceparent`; baggage needs none. So what a web framework's middleware has put there for the
# application's own services, such as a customer's number, reaches every MCP server, those of third parties too: with the call
# of a tool, and with the `tools/list` that both SDKs send by themselves after a first call, to know the schema of its result.
# A gateway that passes `_meta` on, as the protocol wants, passes this on. OTEL_PROPAGATORS=tracecontext in the environment of
# the client keeps the baggage out.
#
# Output seen on 1 December 2026 (Python 3.11, opentelemetry-api 1.45.2, no opentelemetry-sdk):
#   mcp 1.30.0: tools/call without baggage; tools/list without baggage
#   mcp 2.3.0: tools/call with baggage customer=1234; tools/list with baggage customer=1234
#   mcp 2.3.0, OTEL_PROPAGATORS=tracecontext: tools/call without baggage; tools/list without baggage
# Exits with 1 when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 1.30.0 2.3.0; do
    python3 -m venv "env-$version"
    timeout 300 "env-$version/bin/pip" --quiet install "mcp==$version" opentelemetry-api==1.45.2 2>pip.log || { cat pip.log; exit 1; }
done
cat >server.py <<'PY'
import json
import sys

RESULTS = {
    "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}},
    "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"].startswith("tools/"):
        sent = (message["params"].get("_meta") or {}) if message.get("params") else {}
        words = f"with baggage {sent['baggage']}" if "baggage" in sent else "without baggage"
        print(f"{message['method']} {words}", file=sys.stderr, flush=True)
        assert "traceparent" not in sent
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": RESULTS[message["method"]]}), flush=True)
PY
cat >client.py <<'PY'
import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from opentelemetry import baggage, context


async def main():
    server = StdioServerParameters(command=sys.executable, args=["server.py"])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        context.attach(baggage.set_baggage("customer", "1234"))
        await session.call_tool("t", {})


asyncio.run(main())
PY
seen() { env "${@:2}" timeout 60 "env-$1/bin/python" client.py 2>&1 >/dev/null | grep '^tools/' | paste -sd '~' | sed 's/~/; /g'; }
status=0
check() {
    local found
    found=$(seen "$2" "${@:4}")
    echo "$1: $found"
    [[ $found == "$3" ]] || { echo "  before: $3"; status=1; }
}
check 'mcp 1.30.0' 1.30.0 'tools/call without baggage; tools/list without baggage'
check 'mcp 2.3.0' 2.3.0 'tools/call with baggage customer=1234; tools/list with baggage customer=1234'
check 'mcp 2.3.0, OTEL_PROPAGATORS=tracecontext' 2.3.0 'tools/call without baggage; tools/list without baggage' OTEL_PROPAGATORS=tracecontext
exit "$status"
