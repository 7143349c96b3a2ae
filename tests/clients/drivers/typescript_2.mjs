// The official TypeScript SDK 2, in the mode of argv[2].

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { NAME, main, noticed, sdkSteps } from "./driver.mjs";

const client = new Client(
  { name: "typescript-2", version: "1" },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode: process.argv[2] }, listChanged: { tools: { onChanged: () => noticed.resolve() } } },
);
client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: NAME }));

main(sdkSteps(client, StreamableHTTPClientTransport, (tool, options) => client.callTool(tool, options)));
