// Runs one client library step by step, as `driver.py` does for Python.

import { createInterface } from "node:readline";

export const NAME = { name: "Ada" };

/** What a step gives that the library does not offer. */
export const NOT_OFFERED = Symbol("not offered");

/** A promise with its resolver, for the notice of change. */
export const noticed = Promise.withResolvers();

const within = (milliseconds, promise) =>
  Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error("no answer in time")), milliseconds).unref())]);

/** Steps of an official SDK, one of whose versions passes the options of a call differently. */
export const sdkSteps = (client, Transport, callTool) => ({
  connect: (url) => client.connect(new Transport(new URL(url))),
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: async (name, args) => (await callTool({ name, arguments: args })).content[0].text,
  progress: async (name) => {
    let seen = 0;
    await callTool({ name, arguments: {} }, { onprogress: () => seen++ });
    return seen;
  },
});

/** Does what the lines on standard input say. `steps` has a function for each step, which is given the client's own names. */
export async function main(steps) {
  let prefix = "";
  const tool = (name) => `${prefix}${name}`;
  const bodies = {
    connect: (given) => {
      prefix = given.prefix;
      return steps.connect(given.url);
    },
    list: async () => (await steps.list()).sort(),
    call: () => steps.call(tool("add"), { a: 2, b: 3 }),
    progress: () => (steps.progress ? steps.progress(tool("steps")) : NOT_OFFERED),
    ask: () => (steps.asks === false ? NOT_OFFERED : steps.call(tool("ask"), {})),
    notice: async () => {
      if (steps.notices === false) return NOT_OFFERED;
      await steps.listen?.();
      await steps.call(tool("change"), {});
      await within(8000, noticed.promise);
      return "noticed";
    },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let said;
    try {
      const value = await within(command.seconds * 1000, Promise.resolve().then(() => bodies[command.step](command)));
      said = value === NOT_OFFERED ? { none: true } : { value: value ?? null };
    } catch (error) {
      said = { error: `${error?.name}: ${error?.message}`.split("\n")[0].slice(0, 200) };
    }
    process.stdout.write(`${JSON.stringify(said)}\n`);
  }
  process.exit(0);
}

process.on("unhandledRejection", (error) => console.error("unhandled:", error));
process.on("uncaughtException", (error) => console.error("uncaught:", error));
