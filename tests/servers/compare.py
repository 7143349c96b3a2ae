"""Starts real servers directly and at a gateway, and prints in what they differ. See `run`."""
import ctypes, http.client, json, os, queue, re, signal, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.environ["SERVERS"]
GATEWAY = os.environ["MCP_PROXY"]
META = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                  "io.modelcontextprotocol/clientInfo": {"name": "compare", "version": "1"},
                  "io.modelcontextprotocol/clientCapabilities": {}}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "compare", "version": "1"}}
LISTS = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
         "resources/templates/list": "resourceTemplates"}
ENVIRONMENT = {name: os.environ[name] for name in ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER") if name in os.environ}


def program(server):
    folder = f"{PLACE}/npm/node_modules/.bin" if server["from"] == "npm" else f"{PLACE}/{server['from']}/bin"
    return [f"{folder}/{server['run'][0]}", *server["run"][1:]]


def items(raw, key):
    """The raw text of one list of a result, or the code of the error."""
    message = json.loads(raw)
    if "error" in message:
        return message["error"]["code"]
    start = re.search(rb'"%s"\s*:\s*' % key.encode(), raw).end()
    text = raw.decode()
    start = len(raw[:start].decode())
    return text[start:json.JSONDecoder().raw_decode(text, start)[1]]


class Direct:
    """One process, spoken to in one era."""

    def __init__(self, server):
        self.began = time.monotonic()
        self.process = subprocess.Popen(program(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env=ENVIRONMENT, cwd="/tmp", start_new_session=True)
        self.lines, self.number = queue.Queue(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip(b"\r\n"))
        self.lines.put(None)

    def tell(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params, seconds=120):
        self.number += 1
        self.tell({"id": self.number, "method": method, "params": params})
        end = time.monotonic() + seconds
        while True:
            line = self.lines.get(timeout=max(0.1, end - time.monotonic()))
            if line is None:
                raise RuntimeError("the server ended")
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("id") == self.number and "method" not in message:
                return line

    def open(self, era):
        if era == "modern":
            return json.loads(self.ask("server/discover", META))
        answer = json.loads(self.ask("initialize", HELLO))
        self.tell({"method": "notifications/initialized"})
        return answer

    def lists(self, era):
        return {key: items(self.ask(method, META if era == "modern" else {}), key) for method, key in LISTS.items()}

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Gateway:
    def __init__(self):
        self.log = tempfile.NamedTemporaryFile(suffix=".log")
        self.process = subprocess.Popen([GATEWAY, "--port", "0"], stdout=subprocess.PIPE, stderr=self.log, cwd="/tmp", env=ENVIRONMENT)
        line = self.process.stdout.readline().decode()
        self.port = int(re.search(r":(\d+)\s*$", line).group(1))

    def http(self, method, path, body=None, headers=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        link.request(method, path, json.dumps(body) if body is not None else None,
                     {"content-type": "application/json", "accept": "application/json, text/event-stream", **(headers or {})})
        answer = link.getresponse()
        data = answer.read()
        link.close()
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            events = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
            data = next(event for event in events if b'"id"' in event and b'"method"' not in event)
        return answer, data

    def register(self, server, name=None):
        words = program(server)
        body = {"name": name or server["name"], "transport": "stdio", "command": words[0], "args": words[1:], "cwd": "/tmp", "timeout": "120s"}
        answer, data = self.http("POST", "/admin/mcps", body)
        if answer.status != 201:
            raise SystemExit(f"{body['name']}: {answer.status} {data[:200]}")

    def statuses(self):
        return {one["status"]["name"]: one["status"] for one in json.loads(self.http("GET", "/admin/mcps")[1])["mcps"]}

    def connected(self, names, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.statuses()
            if all(found[name]["status"] == "connected" for name in names):
                return found
            time.sleep(0.05)
        return self.statuses()

    def lists(self, name, era):
        path, found = f"/{name}/stream", {}
        if era == "legacy":
            answer, _ = self.http("POST", path, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO})
            headers = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
            self.http("POST", path, {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers)
        for number, (method, key) in enumerate(LISTS.items(), 1):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": META if era == "modern" else {}}
            more = {"mcp-protocol-version": "2026-07-28", "mcp-method": method} if era == "modern" else headers
            found[key] = items(self.http("POST", path, message, more)[1], key)
        return found

    def started(self):
        text = open(self.log.name, errors="replace").read()
        return re.sub(r"\x1b\[[0-9;]*m", "", text).count("process started")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return left()


def left():
    """Processes that outlive what started them become children of this one."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split() if entry.isdigit() else ["Z", "0"]
        except OSError:
            continue
        if fields[0] != "Z" and fields[1] == str(os.getpid()):
            found.append(int(entry))
    return found


def same(direct, through):
    differing = [key for key in LISTS.values() if direct[key] != through[key]]
    if not differing:
        return "same bytes"
    values = [key for key in differing if not (isinstance(direct[key], str) and isinstance(through[key], str)
                                              and json.loads(direct[key]) == json.loads(through[key]))]
    return f"DIFFERENT {','.join(values)}" if values else "same values"


def compare(server):
    probe = Direct(server)
    answer = probe.open("modern")
    era = "modern" if "2026-07-28" in answer.get("result", {}).get("supportedVersions", []) else "legacy"
    probe.end()
    one = Direct(server)
    one.open(era)
    took = time.monotonic() - one.began
    direct = one.lists(era)
    one.end()
    gateway = Gateway()
    began = time.monotonic()
    gateway.register(server)
    status = gateway.connected([server["name"]], 120)[server["name"]]
    through = time.monotonic() - began
    row = [server["name"], era, status.get("era", status["status"])]
    if status["status"] == "connected":
        tools = direct["tools"] if isinstance(direct["tools"], int) else len(json.loads(direct["tools"]))
        row += [tools, same(direct, gateway.lists(server["name"], era)), gateway.started(), f"{through:.2f}", f"{through / took:.2f}"]
        row.insert(5, same(direct, gateway.lists(server["name"], "legacy" if era == "modern" else "modern")))
    else:
        row += ["-", status.get("lastError", "")[:60], "-", gateway.started(), "-", "-"]
    return [*map(str, row), str(len(gateway.end()))]


def storm(servers, count):
    chosen = [servers[number % len(servers)] for number in range(count)]
    began, direct = time.monotonic(), [Direct(server) for server in chosen]
    eras = {}

    def open_one(number, one):
        answer = one.open("modern")
        eras[number] = "modern" if "2026-07-28" in answer.get("result", {}).get("supportedVersions", []) else "legacy"
    waiting = [threading.Thread(target=open_one, args=pair) for pair in enumerate(direct)]
    [thread.start() for thread in waiting]
    [thread.join() for thread in waiting]
    took = time.monotonic() - began
    [one.end() for one in direct]
    gateway, began = Gateway(), time.monotonic()
    names = [f"{server['name']}-{number}" for number, server in enumerate(chosen)]
    for server, name in zip(chosen, names):
        gateway.register(server, name)
    found = gateway.connected(names, 300)
    through = time.monotonic() - began
    connected = sum(one["status"] == "connected" for one in found.values())
    right = sum(found[name].get("era") == eras.get(number) for number, name in enumerate(names))
    print(f"{count} servers at once: directly {took:.1f} s; at the gateway {connected} connected after {through:.1f} s "
          f"(ratio {through / took:.2f}), {right} of the right era, {gateway.started()} processes started, {len(gateway.end())} left")


def main(words):
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    servers = json.load(open(f"{HERE}/servers.json"))
    if words[:1] == ["--storm"]:
        return storm(servers, int(words[1]) if words[1:] else 45)
    print("| server | era | found | items | same era | other era | started | connected s | ratio to direct | left |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for server in servers:
        if not words or server["name"] in words:
            try:
                row = compare(server)
            except Exception as error:
                row = [server["name"], f"failed: {error!r}"]
            print("| " + " | ".join(row) + " |", flush=True)


main(sys.argv[1:])
