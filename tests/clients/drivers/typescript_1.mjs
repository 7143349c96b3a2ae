// The official TypeScript SDK 1.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

import { NAME, main, noticed } from "./driver.mjs";

const client = new Client({ name: "typescript-1", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: NAME }));
client.setNotificationHandler(ToolListChangedNotificationSchema, () => noticed.resolve());

main({
  connect: (url) => client.connect(new StreamableHTTPClientTransport(new URL(url))),
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: async (name, args) => (await client.callTool({ name, arguments: args })).content[0].text,
  progress: async (name) => {
    let seen = 0;
    await client.callTool({ name, arguments: {} }, undefined, { onprogress: () => seen++ });
    return seen;
  },
});
