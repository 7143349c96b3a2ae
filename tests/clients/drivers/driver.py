"""Runs one client library step by step: commands as JSON lines on stdin, what became of each as a JSON line on stdout.

A driver subclasses `Client` and ends with `main(Its)`. A step that the library does not offer stays as it is here.
"""
import asyncio, contextlib, json, os, sys, traceback

NAME = {"name": "Ada"}


class NotOffered(Exception):
    pass


class Client:
    prefix = ""

    def __init__(self):
        self.noticed = asyncio.Event()
        self.steps_seen = 0
        self.stack = contextlib.AsyncExitStack()

    def tool(self, name):
        return self.prefix + name

    async def connect(self, url):
        raise NotImplementedError

    async def list(self):
        """The names of all tools."""
        raise NotOffered

    async def call(self, tool, arguments):
        """The text of the result."""
        raise NotOffered

    async def progress(self):
        """Number of times that `steps` reported."""
        raise NotOffered

    async def ask(self):
        """The text of the result of `ask`, whose question is answered with `NAME`."""
        raise NotOffered

    async def notice(self):
        """Calls `change`, and waits for the notice."""
        raise NotOffered

    async def changed(self):
        """Calls `change`, and waits until `self.noticed` is set."""
        await self.call(self.tool("change"), {})
        await asyncio.wait_for(self.noticed.wait(), 8)
        return "noticed"

    def on_progress(self, *_):
        self.steps_seen += 1

    async def on_progress_async(self, *_):
        self.steps_seen += 1


def reasons(error):
    """The innermost causes, each on one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(reasons(inner) for inner in error.exceptions)
    if error.__cause__:
        return reasons(error.__cause__)
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


async def run(client, line):
    command = json.loads(line)
    step, given = command.pop("step"), command
    if step == "connect":
        client.prefix = given["prefix"]
        return await client.connect(given["url"])
    if step == "call":
        return await client.call(client.tool("add"), {"a": 2, "b": 3})
    if step == "list":
        return sorted(await client.list())
    return await getattr(client, step)()


async def converse(new, out):
    client, loop = new(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            said = {"value": await asyncio.wait_for(run(client, line), json.loads(line).get("seconds", 10))}
        except NotOffered:
            said = {"none": True}
        except asyncio.TimeoutError:
            said = {"error": "no answer in time"}
        except BaseException as error:
            if os.environ.get("VERBOSE"):
                traceback.print_exc()
            said = {"error": reasons(error)}
            # A library that tears itself down by a cancel scope has cancelled this task as well.
            task = asyncio.current_task()
            while task.cancelling():
                task.uncancel()
        print(json.dumps(said, default=str), file=out, flush=True)
    os._exit(0)


def main(new):
    # Libraries print to standard output.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asyncio.run(converse(new, out))
