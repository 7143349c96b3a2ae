// A legacy server over Streamable HTTP (TypeScript SDK 1), on the port in argv[2], with one tool for each step of `run`.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const sessions = new Map();
let changed = false;

function newServer() {
  const server = new McpServer({ name: "legacy", version: "1" }, { capabilities: { tools: { listChanged: true } } });
  const text = (said) => ({ content: [{ type: "text", text: said }] });
  const adds = { description: "Adds.", inputSchema: { a: z.number(), b: z.number() }, outputSchema: { sum: z.number() } };
  server.registerTool("add", adds, ({ a, b }) => ({ ...text(JSON.stringify({ sum: a + b })), structuredContent: { sum: a + b } }));
  server.registerTool("steps", { description: "Reports progress three times." }, async (extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let progress = 1; progressToken !== undefined && progress <= 3; progress++) {
      await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total: 3 } });
    }
    return text("done");
  });
  server.registerTool("ask", { description: "Asks the client's user." }, async () => {
    const requestedSchema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
    const answer = await server.server.elicitInput({ message: "Your name?", requestedSchema });
    return text(`Hello, ${answer.content?.name}!`);
  });
  const more = () => server.registerTool("more", { description: "More." }, () => text("more"));
  if (changed) more();
  server.registerTool("change", { description: "Adds a tool, and tells." }, () => {
    changed = true;
    // Announced to every session.
    for (const session of sessions.values()) session.more();
    return text("changed");
  });
  return { server, more };
}

const listener = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
  const id = request.headers["mcp-session-id"];
  let session = sessions.get(id);
  if (!session && id === undefined && body?.method === "initialize") {
    session = newServer();
    session.transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (name) => sessions.set(name, session),
    });
    session.transport.onclose = () => sessions.delete(session.transport.sessionId);
    await session.server.connect(session.transport);
  }
  if (session) return session.transport.handleRequest(request, response, body);
  const error = { jsonrpc: "2.0", id: null, error: { code: id ? -32001 : -32000, message: id ? "Session not found" : "No session" } };
  response.writeHead(id ? 404 : 400, { "content-type": "application/json" }).end(JSON.stringify(error));
});
listener.listen(Number(process.argv[2]), "127.0.0.1");
