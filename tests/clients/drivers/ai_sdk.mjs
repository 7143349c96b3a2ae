// The MCP client of Vercel's AI SDK.

import { ElicitationRequestSchema, createMCPClient } from "@ai-sdk/mcp";

import { NAME, main } from "./driver.mjs";

let client;

main({
  connect: async (url) => {
    client = await createMCPClient({ transport: { type: "http", url }, capabilities: { elicitation: {} } });
    client.onElicitationRequest(ElicitationRequestSchema, () => ({ action: "accept", content: NAME }));
  },
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: async (name, args) => (await client.callTool({ name, arguments: args })).content[0].text,
  notices: false,
});
