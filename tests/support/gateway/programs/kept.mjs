// A server in Node that answers every call with how often it has met it, and closes idle connections after so many milliseconds.
//
//   node kept.mjs PORT IDLE_MS

import { createServer } from "node:http";

const [port, idle] = process.argv.slice(2).map(Number);
const met = new Map();

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const { id } = body ? JSON.parse(body) : {};
  met.set(id, (met.get(id) ?? 0) + 1);
  const text = String(met.get(id));
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text }] } }));
});
server.keepAliveTimeout = idle;
server.listen(port, "127.0.0.1");
