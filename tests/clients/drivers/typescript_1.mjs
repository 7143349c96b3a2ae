// The official TypeScript SDK 1.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

import { NAME, main, noticed, sdkSteps } from "./driver.mjs";

const client = new Client({ name: "typescript-1", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: NAME }));
client.setNotificationHandler(ToolListChangedNotificationSchema, () => noticed.resolve());

main(sdkSteps(client, StreamableHTTPClientTransport, (tool, options) => client.callTool(tool, undefined, options)));
