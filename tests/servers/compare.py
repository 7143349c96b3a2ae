"""Starts real servers directly and at a gateway, and prints in what they differ. See `run`."""
import ctypes, json, os, re, statistics, sys, threading, time

import install
from peers import LEGACY, LISTS, MODERN, Direct, Ended, Gateway, value

ROUNDS = int(os.environ.get("ROUNDS", "3"))
# Connected at most so many times as late as directly: one alone, and all of many at once.
SLOWER, STORM = 1.2, 1.3
HEAD = ["server", "SDK era", "tools", "prompts", "resources", "templates", "lists", "calls", "started", "directly s", "gateway s", "ratio", "left"]
ALIKE = "same"


def masked(server, text):
    for pattern in server.get("mask", []):
        text = re.sub(pattern, "MASKED", text)
    return text


def answers(server, peer, era):
    """The raw lists and results of a server, by what was asked."""
    found = {}
    for method, key in LISTS.items():
        raw = peer.request(method, {}, era)
        error = json.loads(raw).get("error")
        # A list that there is not and an empty one are the same to a client.
        found[method] = value(raw, key) if not error else "[]"
    for call in server["calls"]:
        method, params = call.get("method", "tools/call"), install.filled(server, call["params"])
        found[f"{method} {json.dumps(params)}"] = masked(server, result(peer.request(method, params, era)))
    return found


def result(raw):
    """Content of an answer, without the members that only name its era and lifetime."""
    message = json.loads(raw)
    if "error" in message:
        return json.dumps(message["error"], sort_keys=True)
    keys = [key for key in message["result"] if key not in ("_meta", "resultType", "ttlMs", "cacheScope")]
    return "\n".join(f"{key}: {value(raw, key)}" for key in sorted(keys))


def directly(server):
    """The answers of a server by era; the modern ones are the legacy ones where it does not speak that era."""
    probe = Direct(server)
    try:
        is_modern = probe.open(MODERN)
        found = {MODERN: answers(server, probe, MODERN)} if is_modern else {}
    finally:
        probe.end()
    try:
        one = Direct(server)
        try:
            one.open(LEGACY)
            found[LEGACY] = answers(server, one, LEGACY)
        finally:
            one.end()
    except Ended:
        if not is_modern:
            raise
    found.setdefault(MODERN, found.get(LEGACY))
    found.setdefault(LEGACY, found[MODERN])
    return is_modern, found


def differences(server, direct, gateway):
    """In which lists and calls a gateway's answers are others, by bytes and by value."""
    found = {"lists": [], "calls": []}
    for of_all in False, True:
        for era in LEGACY, MODERN:
            through = answers(server, gateway.peer(server["name"], era, of_all), era)
            for asked, raw in direct[era].items():
                if raw == through[asked] or (of_all and asked in LISTS and is_listed(asked, direct, era, through[asked])):
                    continue
                where = f"{asked} {'/mcp' if of_all else '/stream'} {era}"
                at = len(os.path.commonprefix([raw, through[asked]]))
                shown = [text[max(0, at - 200):at + 400] for text in (raw, through[asked])]
                print(f"{server['name']}: {where}, at {at}:\n  directly ...{shown[0]}\n  gateway  ...{shown[1]}", file=sys.stderr, flush=True)
                found["lists" if asked in LISTS else "calls"].append(where)
    return {kind: ALIKE if not wrong else f"DIFFERENT: {', '.join(wrong)}" for kind, wrong in found.items()}


def is_listed(method, direct, era, through):
    """The items byte by byte. `/mcp` lists what the server lists in the gateway's era; some order members otherwise in the other."""
    is_of = [items(direct[spoken][method]) == items(through) for spoken in (era, MODERN)]
    return is_of[0] or (is_of[1] and json.loads(direct[era][method]) == json.loads(through))


def items(raw):
    """The raw items of a list, without what stands between them."""
    found, at, decoder = [], 1, json.JSONDecoder()
    while True:
        while raw[at] in ", \t":
            at += 1
        if raw[at] == "]":
            return found
        end = decoder.raw_decode(raw, at)[1]
        found.append(raw[at:end])
        at = end


def times(server, is_modern):
    """Seconds to a connected server directly and at a gateway, in turn, and the gateways, of which the last still runs."""
    direct, through, gateway = [], [], None
    for _ in range(ROUNDS):
        one = Direct(server)
        try:
            one.open(MODERN if is_modern else LEGACY)
            direct.append(time.monotonic() - one.began)
        finally:
            one.end()
        if gateway:
            gateway.end()
        gateway = Gateway()
        began = time.monotonic()
        gateway.register(server)
        status = gateway.connected([server["name"]], 120, 0.0005)[server["name"]]
        through.append(time.monotonic() - began)
        if status["status"] != "connected":
            gateway.end()
            raise Ended(f"not connected: {status.get('lastError')}")
    return statistics.median(direct), statistics.median(through), gateway, status


def compare(server):
    is_modern, direct = directly(server)
    took, through, gateway, status = times(server, is_modern)
    left = "?"
    try:
        started = gateway.started()
        era = "both" if is_modern else "legacy"
        if (status["era"] == "modern") != is_modern:
            era += f" (found {status['era']})"
        differ = differences(server, direct, gateway)
    finally:
        left = len(gateway.end())
    counts = [len(json.loads(direct[LEGACY][method])) for method in LISTS]
    row = [server["name"], era, *counts, differ["lists"], differ["calls"], started, f"{took:.2f}", f"{through:.2f}", f"{through / took:.2f}", left]
    is_right = "found" not in era and differ == {"lists": ALIKE, "calls": ALIKE} and (started, left) == (1, 0)
    return [str(cell) for cell in row], is_right, through / took


def storm(servers, count):
    chosen = [servers[number % len(servers)] for number in range(count)]
    began, direct, eras = time.monotonic(), [Direct(server) for server in chosen], {}

    def open_one(number, one):
        eras[number] = "modern" if one.open(MODERN) else "legacy"
    waiting = [threading.Thread(target=open_one, args=pair) for pair in enumerate(direct)]
    [thread.start() for thread in waiting]
    [thread.join() for thread in waiting]
    took = time.monotonic() - began
    [one.end() for one in direct]
    print(f"{count} servers at once: directly {took:.1f} s")
    # The second gateway is the first one after a restart: its workers register everything again.
    return all([stormed(chosen, eras, took, when) for when in ("at the gateway", "after its restart")])


def stormed(chosen, eras, took, when):
    """Registers all of these at once, and says whether a gateway connects them in time and in the right eras."""
    count, gateway, began = len(chosen), Gateway(), time.monotonic()
    names = [f"{server['name']}-{number}" for number, server in enumerate(chosen)]
    for server, name in zip(chosen, names):
        gateway.register(server, name)
    found = gateway.connected(names, 300, 0.05)
    through = time.monotonic() - began
    connected = sum(one["status"] == "connected" for one in found.values())
    right = sum(found[name].get("era") == eras.get(number) for number, name in enumerate(names))
    started, left = gateway.started(), len(gateway.end())
    print(f"{when}: {connected} connected after {through:.1f} s (ratio {through / took:.2f}), {right} of the right era, "
          f"{started} processes started, {left} left", flush=True)
    return connected == right == count and through <= STORM * took and started <= count * 10 / 9 and left == 0


def offer(servers):
    """Prints what servers offer directly, for whoever writes a line of servers.json."""
    for server in servers:
        try:
            is_modern, found = directly({**server, "calls": server.get("calls", [])})
        except Exception as error:
            print(f"## {server['name']}: {error}")
            continue
        print(f"## {server['name']} {'both eras' if is_modern else 'legacy'}")
        for method, raw in found[LEGACY].items():
            listed = json.loads(raw) if method in LISTS else None
            print(f"{method}: {raw[:600]}" if listed is None else f"{method}: {len(listed)}")
            for item in listed or []:
                schema = item.get("inputSchema", item.get("arguments", ""))
                print(f"  {item.get('name')} {item.get('uri', item.get('uriTemplate', ''))} {json.dumps(schema)[:300]}")


def table(servers, failed):
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    wrong, ratios = [], []
    for server in servers:
        name, is_right = server["name"], False
        if name in failed:
            row = [name, f"not installed: {failed[name]}"]
        else:
            try:
                row, is_right, ratio = compare(server)
                ratios.append((ratio, name))
            except Exception as error:
                row = [name, f"failed: {error!r}"]
        wrong += [] if is_right else [name]
        print(f"| {' | '.join(row)} |", flush=True)
    if ratios:
        late = [f"{name} {ratio:.2f}" for ratio, name in sorted(ratios, reverse=True) if ratio > SLOWER]
        print(f"\n{len(servers) - len(wrong)} of {len(servers)} as directly; connected {statistics.median(one for one, _ in ratios):.2f} times "
              f"as late (median), {len(late)} more than {SLOWER} times{': ' if late else ''}{', '.join(late)}")
    if wrong:
        print(f"not as directly: {', '.join(wrong)}")
    return not wrong


def main(words):
    # Processes that outlive their parents become children of this one.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    option, names = (words[0], words[1:]) if words and words[0].startswith("--") else (None, words)
    if option == "--storm":
        servers = install.servers()
        failed = install.install(servers)
        servers = [server for server in servers if server["name"] not in failed]
        return storm(servers, int(names[0]) if names else 45)
    servers = install.servers(names)
    failed = install.install(servers)
    if option == "--install":
        [print(f"{name}: {reason}") for name, reason in failed.items()]
        return not failed
    if option == "--offer":
        return offer([server for server in servers if server["name"] not in failed])
    return table(servers, failed)


sys.exit(0 if main(sys.argv[1:]) in (True, None) else 1)
