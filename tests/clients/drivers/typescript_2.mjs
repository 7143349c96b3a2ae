// The official TypeScript SDK 2, in the mode of argv[2].

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { NAME, main, noticed } from "./driver.mjs";

const client = new Client(
  { name: "typescript-2", version: "1" },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode: process.argv[2] }, listChanged: { tools: { onChanged: () => noticed.resolve() } } },
);
client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: NAME }));

main({
  connect: (url) => client.connect(new StreamableHTTPClientTransport(new URL(url))),
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: async (name, args) => (await client.callTool({ name, arguments: args })).content[0].text,
  progress: async (name) => {
    let seen = 0;
    await client.callTool({ name, arguments: {} }, { onprogress: () => seen++ });
    return seen;
  },
});
