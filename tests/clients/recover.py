"""Runs client libraries directly and through a gateway that restarts, and prints what each can do. See `run`.

Members of `clients.json`: `same` names the client in whose folder the driver runs, `eras` is the gateway's setting, `bridge` is a
client that is no use without a gateway, and `known` has steps by server that are worse through the gateway by the client's own
choice, with the reason.
"""
import concurrent.futures, http.client, json, os, queue, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.environ["CLIENTS"]
sys.path.insert(0, f"{HERE}/../servers")
os.environ["SERVERS"] = PLACE
import install  # noqa: E402

STEPS = ["connect", "list", "call", "progress", "ask", "notice"]
RESTARTS = ["server restart", "gateway restart"]
WAYS = ["directly", "/NAME/stream", "/mcp"]
# Results of a client that count as a successful step.
RIGHT = {"list": lambda value: any(name.endswith("add") for name in value), "call": lambda value: re.search(r"\b5\b", str(value)),
         "progress": lambda value: value == 3, "ask": lambda value: "Ada" in str(value), "notice": lambda value: value == "noticed"}
TRIES, PAUSE, PATIENCE = 4, 1.0, 12
UPSTREAMS = {"both": [{"name": "upstream-both", "from": "pypi", "packages": ["mcp==2.3.0"]}, "both.py"],
             "legacy": [{"name": "upstream-legacy", "from": "npm", "packages": ["@modelcontextprotocol/sdk@1.32.2", "zod@4.1.12"]}, "legacy.mjs"]}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def program(client, script):
    if script.endswith(".mjs"):
        # A module finds packages from the folder that it is in.
        folder = f"{PLACE}/{client.get('same', client['name'])}"
        for file in (f"{HERE}/drivers/driver.mjs", script):
            shutil.copy(file, folder)
        return [f"{install.node_home()}/bin/node", f"{folder}/{os.path.basename(script)}"]
    return [f"{PLACE}/{client.get('same', client['name'])}/bin/python", script]


class Program:
    """A process that can be ended and started again."""

    def __init__(self, command, port):
        self.command, self.port, self.process, self.log = command, port, None, tempfile.TemporaryFile()
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=environment())
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError(f"{self.command} does not listen: {self.log.read()[-500:]}")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Gateway(Program):
    def __init__(self, upstream, eras):
        port, self.data = free_port(), tempfile.TemporaryDirectory()
        options = ["--data-dir", self.data.name, "--drain-delay", "0s", *(["--eras", eras] if eras else [])]
        super().__init__([os.environ["MCP_PROXY"], "--port", str(port), *options], port)
        eras = {"eras": eras} if eras else {}
        self.ask("POST", "/admin/mcps", {"name": "u", "transport": "streamable-http", "url": upstream, "reconnectDelay": "200ms", **eras}, 201)
        self.connected()

    def connected(self):
        end = time.monotonic() + 60
        while self.ask("GET", "/admin/mcps/u")["status"]["status"] != "connected":
            if time.monotonic() > end:
                raise RuntimeError("the gateway does not connect")
            time.sleep(0.05)

    def ask(self, method, path, body=None, status=200):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        link.request(method, path, json.dumps(body) if body else None, {"content-type": "application/json"})
        answer = link.getresponse()
        data = answer.read()
        link.close()
        if answer.status != status:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]}")
        return json.loads(data)


def environment():
    # Libraries keep files in the home.
    os.makedirs(home := f"{PLACE}/home", exist_ok=True)
    names = ("LANG", "TERM", "TMPDIR", "USER", "VERBOSE", "MCP_PROXY")
    ours = {name: os.environ[name] for name in names if name in os.environ}
    return {**ours, "HOME": home, "PATH": install.path(), "CLIENTS": PLACE, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
            "OTEL_SDK_DISABLED": "true", "CREWAI_DISABLE_TELEMETRY": "true", "ANONYMIZED_TELEMETRY": "false", "MCP_USE_ANONYMIZED_TELEMETRY": "false"}


class Driver:
    """A client library, which does one step after the other."""

    def __init__(self, client):
        self.errors = tempfile.TemporaryFile()
        command = [*program(client, f"{HERE}/drivers/{client['driver']}"), *client.get("args", [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=environment(), cwd="/tmp")
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith(b"{"):
                self.lines.put(line)
        self.lines.put(b"")

    def step(self, step, **given):
        """Outcome of a step: `ok`, `none` where the library does not offer it, or a reason."""
        patience = 60 if step == "connect" else PATIENCE
        try:
            self.process.stdin.write(json.dumps({"step": step, "seconds": patience, **given}).encode() + b"\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=patience + 5)
        except (OSError, queue.Empty):
            return "no answer"
        if not line:
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").strip().splitlines()
            return f"the client ended: {(lines or [''])[-1][:200]}"
        said = json.loads(line)
        if said.get("none"):
            return "none"
        if "error" in said:
            return said["error"]
        return "ok" if RIGHT.get(step, lambda _: True)(said["value"]) else f"gave {said['value']}"[:200]

    def end(self):
        self.process.kill()
        self.process.wait()


def recovers(driver):
    """With which call after a restart the client has an answer."""
    reasons = []
    for number in range(1, TRIES + 1):
        reasons.append(driver.step("call"))
        if reasons[-1] == "ok":
            return "ok" if number == 1 else f"ok at call {number} ({reasons[0]})"
        time.sleep(PAUSE)
    return f"never: {reasons[-1]}"


def run(client, upstream, way):
    """Outcomes of the steps of one client at one server, directly or through the gateway."""
    entry, script = UPSTREAMS[upstream]
    port, found = free_port(), {}
    server, gateway, driver = Program([*program(entry, f"{HERE}/upstreams/{script}"), str(port)], port), None, None
    try:
        url = f"http://127.0.0.1:{port}/mcp"
        if way != "directly":
            gateway = Gateway(url, client.get("eras"))
            url = f"http://127.0.0.1:{gateway.port}{way.replace('NAME', 'u')}"
        driver = Driver(client)
        found["connect"] = driver.step("connect", url=url, prefix="u__" if way == "/mcp" else "")
        for step in STEPS[1:]:
            found[step] = driver.step(step) if found["connect"] == "ok" else "not connected"
        if found["connect"] == "ok":
            for restart, ended in ("server restart", server), ("gateway restart", gateway or server):
                ended.end()
                ended.start()
                if gateway and ended is server:
                    gateway.connected()
                found[restart] = recovers(driver)
    finally:
        for one in (driver, gateway, server):
            if one:
                one.end()
    return found


def worse(step, direct, through):
    """True if a step did worse through the gateway than directly."""
    if direct == "none" or through == "ok":
        return False
    if step in RESTARTS:
        return direct.startswith("ok") and not through.startswith("ok")
    return direct == "ok"


def cell(found):
    """The steps that did not work."""
    wrong = [f"{step}: {said}" for step, said in found.items() if said not in ("ok", "none") and not said.startswith("ok at")]
    late = [f"{step}: {said}" for step, said in found.items() if said.startswith("ok at")]
    none = [step for step, said in found.items() if said == "none"]
    wrong = [one if len(one) < 110 else f"{one[:107]}..." for one in wrong]
    return "; ".join([*(wrong or ["all"]), *late, *([f"not offered: {', '.join(none)}"] if none else [])]).replace("|", "\\|")


def compare(client, upstream):
    rows = {}
    for way in WAYS:
        if way == "directly" and client.get("bridge"):
            continue
        try:
            rows[way] = run(client, upstream, way)
        except Exception as error:
            rows[way] = {"run": f"failed: {error!r}"[:300]}
    failed = [way for way, found in rows.items() if "run" in found or (way == "directly" and found["connect"] != "ok")]
    if failed:
        return rows, [f"{way} did not run" for way in failed]
    direct = rows.get("directly", {step: "ok" for step in STEPS + RESTARTS})
    bad = [f"{way} {step}" for way, found in rows.items() if way != "directly" for step, said in found.items()
           if worse(step, direct.get(step, "ok"), said) and step not in client.get("known", {}).get(upstream, {})]
    return rows, bad


def main(names):
    known = json.load(open(f"{HERE}/clients.json"))
    option = names[0] if names and names[0].startswith("--") else None
    names = names[1:] if option else names
    clients = [client for client in known if not names or client["name"] in names]
    needed = {client.get(key) for client in clients for key in ("name", "same")}
    entries = [client for client in known if client["name"] in needed and "packages" in client]
    failed = install.install([entry for entry, _ in UPSTREAMS.values()] + entries)
    if option == "--install":
        [print(f"{name}: {reason}") for name, reason in failed.items()]
        return not failed
    print(f"| client | server | {' | '.join(WAYS)} | worse through the gateway |\n|{'---|' * (len(WAYS) + 3)}", flush=True)
    wanted = [(client, upstream) for client in clients for upstream in UPSTREAMS if not {client["name"], client.get("same")} & set(failed)]
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("AT_ONCE", "2"))) as pool:
        for (client, upstream), (rows, bad) in zip(wanted, pool.map(lambda pair: compare(*pair), wanted)):
            cells = [cell(rows[way]) if way in rows else "-" for way in WAYS]
            print(f"| {client['name']} | {upstream} | {' | '.join(cells)} | {', '.join(bad) or 'nothing'} |", flush=True)
            wrong += [f"{client['name']} at {upstream}: {one}" for one in bad]
    for name, reason in failed.items():
        print(f"| {name} | - | not installed: {reason} |" + " - |" * 3)
    print(f"\n{len(wrong)} steps worse through the gateway{': ' if wrong else ''}{'; '.join(wrong)}")
    return not wrong


sys.exit(0 if main(sys.argv[1:]) else 1)
