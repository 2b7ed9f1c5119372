// The server that the conformance suite requires at 2025-11-25, on the first generation of the TypeScript SDK: PORT and
// OFFERS in the environment.
import { randomUUID } from "node:crypto";
import http from "node:http";

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";

import { contents, filled, listed, pause, prompts, resources, says, templates, tools } from "./offers.mjs";

const port = Number(process.env.PORT);
const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };

async function call({ params }, { requestId, _meta, sendNotification, sendRequest, closeSSEStream }) {
  const does = tools.find(({ name }) => name === params.name)?.does;
  if (does?.gives) return filled(does.gives, params.arguments);
  if (does?.logs) {
    for (const data of does.logs) {
      await sendNotification({ method: "notifications/message", params: { level: "info", data } });
      await pause();
    }
    return says("logged");
  }
  if (does?.progress) {
    for (const progress of _meta?.progressToken === undefined ? [] : does.progress) {
      const told = { progressToken: _meta.progressToken, progress, total: 100 };
      await sendNotification({ method: "notifications/progress", params: told });
      await pause();
    }
    return says("done");
  }
  if (does?.closes) {
    closeSSEStream?.();
    await pause();
    return says("done after the stream was closed");
  }
  if (does?.asks) {
    const { method } = does.asks;
    const schema = method === "sampling/createMessage" ? types.CreateMessageResultSchema : types.ElicitResultSchema;
    const answer = await sendRequest(filled(does.asks, params.arguments), schema, { relatedRequestId: requestId });
    return says(`the client said ${JSON.stringify(answer)}`);
  }
  throw new types.McpError(types.ErrorCode.InvalidParams, `no tool ${params.name} at this version`);
}

function served() {
  const server = new Server({ name: "conformance", version: "1" }, { capabilities });
  const on = (schema, handler) => server.setRequestHandler(schema, handler);
  on(types.ListToolsRequestSchema, () => ({ tools: tools.map(listed) }));
  on(types.CallToolRequestSchema, call);
  on(types.ListPromptsRequestSchema, () => ({ prompts: prompts.map(listed) }));
  on(types.GetPromptRequestSchema, ({ params }) => {
    const gives = prompts.find(({ name }) => name === params.name)?.does.gives;
    if (!gives) throw new types.McpError(types.ErrorCode.InvalidParams, `no prompt ${params.name} at this version`);
    return filled(gives, params.arguments);
  });
  on(types.ListResourcesRequestSchema, () => ({ resources: resources.map(listed) }));
  on(types.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: templates.map(listed) }));
  on(types.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const read = contents(uri);
    if (!read) throw new types.McpError(-32002, "Resource not found", { uri });
    return read;
  });
  on(types.SubscribeRequestSchema, () => ({}));
  on(types.UnsubscribeRequestSchema, () => ({}));
  on(types.SetLevelRequestSchema, () => ({}));
  on(types.CompleteRequestSchema, ({ params: { argument } }) => {
    const values = ["paris", "park", "party"].filter((value) => value.startsWith(argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  return server;
}

/** Every event since the start, so that streams can be resumed. */
class Kept {
  events = [];

  async storeEvent(stream, message) {
    this.events.push({ stream, message });
    return String(this.events.length);
  }

  async replayEventsAfter(last, { send }) {
    const { stream } = this.events[Number(last) - 1];
    for (const [place, event] of this.events.entries()) {
      if (place < Number(last) || event.stream !== stream || !event.message.jsonrpc) continue;
      await send(String(place + 1), event.message);
    }
    return stream;
  }
}

const sessions = new Map();

async function session() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Kept(),
    retryInterval: 50,
    enableDnsRebindingProtection: true,
    allowedHosts: [`127.0.0.1:${port}`, `localhost:${port}`],
    onsessioninitialized: (id) => void sessions.set(id, transport),
    onsessionclosed: (id) => void sessions.delete(id),
  });
  await served().connect(transport);
  return transport;
}

http
  .createServer(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    if (id && !sessions.has(id)) {
      const error = { code: -32001, message: "Session not found" };
      response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id: null, error }));
      return;
    }
    await (sessions.get(id) ?? (await session())).handleRequest(request, response);
  })
  .listen(port, "127.0.0.1");
