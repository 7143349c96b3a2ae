"""Speaks to a server: as a process of its own, or through a gateway; with both in the legacy and in the modern era."""
import http.client, json, os, queue, re, signal, subprocess, tempfile, threading, time

import install

LEGACY, MODERN = "2025-11-25", "2026-07-28"
CLIENT = {"name": "compare", "version": "1"}
META = {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientInfo": CLIENT,
                  "io.modelcontextprotocol/clientCapabilities": {}}}
HELLO = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
LISTS = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
         "resources/templates/list": "resourceTemplates"}
ANSWER = 120
GATEWAY = os.environ.get("MCP_PROXY", "")


def given(server=None):
    """Environment that the gateway hands on to programs, with the definition's additions."""
    names = ("HOME", "LANG", "LOGNAME", "SHELL", "TERM", "TMPDIR", "USER")
    ours = {name: os.environ[name] for name in names if name in os.environ}
    return {**ours, "PATH": install.path(), **(install.environment(server) if server else {})}


def value(raw, key):
    """The raw text of a member of a result."""
    text = raw.decode()
    start = re.search(r'"%s"\s*:\s*' % key, text).end()
    return text[start:json.JSONDecoder().raw_decode(text, start)[1]]


class Ended(Exception):
    pass


class Direct:
    """One process, spoken to in one era."""

    def __init__(self, server):
        self.began = time.monotonic()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(install.command(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        env=given(server), cwd=install.home(server), start_new_session=True)
        self.lines, self.number = queue.Queue(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip(b"\r\n"))
        self.lines.put(None)

    def tell(self, message):
        try:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise Ended(self.last()) from None

    def ask(self, method, params):
        self.number += 1
        self.tell({"id": self.number, "method": method, "params": params})
        end = time.monotonic() + ANSWER
        while True:
            try:
                line = self.lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise Ended(f"no answer to {method} within {ANSWER} s: {self.last()}") from None
            if line is None:
                raise Ended(self.last())
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("id") == self.number and "method" not in message:
                return line

    def last(self):
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"the server ended: {(lines or ['it said nothing'])[-1]}"

    def open(self, era):
        """Opens in this era, and says whether the server speaks the modern one."""
        if era == MODERN:
            answer = json.loads(self.ask("server/discover", META))
            return MODERN in answer.get("result", {}).get("supportedVersions", [])
        answer = json.loads(self.ask("initialize", HELLO))
        if "error" in answer:
            raise Ended(f"initialize is refused: {answer['error']}")
        self.tell({"method": "notifications/initialized"})

    def request(self, method, params, era):
        return self.ask(method, {**params, **META} if era == MODERN else params)

    def end(self):
        """Ends the process as the specification says: its input, then SIGTERM, then SIGKILL, to the whole group."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        for number in signal.SIGTERM, signal.SIGKILL:
            try:
                self.process.wait(2)
                break
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, number)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Gateway:
    """A gateway, which ends with `end`."""

    def __init__(self):
        self.log = tempfile.NamedTemporaryFile(suffix=".log")
        self.process = subprocess.Popen([GATEWAY, "--port", "0"], stdout=subprocess.PIPE, stderr=self.log, cwd="/tmp",
                                        env=given())
        line = self.process.stdout.readline().decode()
        self.port = int(re.search(r":(\d+)\s*$", line).group(1))
        self.link = None

    def http(self, method, path, body=None, headers=None):
        self.link = self.link or http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER)
        self.link.request(method, path, json.dumps(body) if body is not None else None,
                          {"content-type": "application/json", "accept": "application/json, text/event-stream", **(headers or {})})
        answer = self.link.getresponse()
        data = answer.read()
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            events = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
            data = next(event for event in events if b'"id"' in event and b'"method"' not in event)
        return answer, data

    def register(self, server, name=None):
        words = install.command(server)
        body = {"name": name or server["name"], "transport": "stdio", "command": words[0], "args": words[1:],
                "env": install.environment(server), "cwd": install.home(server), "timeout": f"{ANSWER}s"}
        answer, data = self.http("POST", "/admin/mcps", body)
        if answer.status != 201:
            raise Ended(f"{answer.status} {data[:200]}")

    def status(self, name):
        return json.loads(self.http("GET", f"/admin/mcps/{name}")[1])["status"]

    def connected(self, names, seconds, pause=0.01):
        """Waits until all of these are connected, and gives their statuses."""
        end, waiting, found = time.monotonic() + seconds, list(names), {}
        while waiting and time.monotonic() < end:
            found[waiting[0]] = self.status(waiting[0])
            if found[waiting[0]]["status"] == "connected":
                waiting.pop(0)
            else:
                time.sleep(pause)
        return found | {name: self.status(name) for name in waiting}

    def peer(self, name, era, of_all):
        return Through(self, "/mcp" if of_all else f"/{name}/stream", name, era, of_all)

    def started(self):
        """Processes that were started so far."""
        text = open(self.log.name, errors="replace").read()
        return re.sub(r"\x1b\[[0-9;]*m", "", text).count("process started")

    def end(self):
        """Ends the gateway, and gives the processes that are left."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return left()


class Through:
    """One server at a gateway, at its own endpoint or at that of all of them, in one era."""

    def __init__(self, gateway, path, name, era, of_all):
        self.gateway, self.path, self.name, self.of_all, self.number, self.headers = gateway, path, name, of_all, 0, {}
        if era == LEGACY:
            answer, data = gateway.http("POST", path, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO})
            if "mcp-session-id" not in answer.headers:
                raise Ended(f"initialize at {path}: {answer.status} {data[:200]}")
            self.headers = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": LEGACY}
            gateway.http("POST", path, {"jsonrpc": "2.0", "method": "notifications/initialized"}, self.headers)

    def request(self, method, params, era):
        self.number += 1
        headers = self.headers
        if self.of_all:
            params = {**params, **{key: self.prefix(key) + params[key] for key in ("name", "uri") if key in params}}
        if era == MODERN:
            params, headers = {**params, **META}, {"mcp-protocol-version": MODERN, "mcp-method": method}
            headers |= {"mcp-name": params[key] for key in ("name", "uri") if key in params}
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        return self.own(self.gateway.http("POST", self.path, message, headers)[1])

    def prefix(self, key):
        return f"{self.name}__" if key == "name" else f"mcp-proxy://{self.name}/"

    def own(self, raw):
        """A raw answer with the server's own names."""
        if not self.of_all:
            return raw
        for prefix in self.prefix("name"), self.prefix("uri"), f"ui://{self.name}/":
            raw = raw.replace(f'"{prefix}'.encode(), b'"')
        return raw


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
