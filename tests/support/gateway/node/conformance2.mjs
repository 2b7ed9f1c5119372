// The server that the conformance suite requires at 2026-07-28, on the second generation of the TypeScript SDK: PORT
// and OFFERS in the environment.
import { randomBytes } from "node:crypto";

import { serve } from "@hono/node-server";
import {
  CLIENT_CAPABILITIES_META_KEY,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  hostHeaderValidationResponse,
  inputRequired,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";

import { contents, filled, listed, pause, prompts, resources, says, templates, tools } from "./offers.mjs";

const states = createRequestStateCodec({ key: randomBytes(32) });
const capabilities = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  logging: {},
  completions: {},
};
const NEEDS = { "elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots" };

/** The next of the rounds in which a server asks its client, or undefined when all is answered. */
async function asked({ rounds, state, declared }, { mcpReq }) {
  let round = (state && mcpReq.requestState()?.round) || 0;
  const answers = mcpReq.inputResponses ?? {};
  if (rounds[round] && Object.keys(rounds[round]).every((key) => key in answers)) round += 1;
  if (round === rounds.length) return undefined;
  const can = mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
  const inputRequests = Object.fromEntries(
    Object.entries(rounds[round]).filter(([, { method }]) => !declared || NEEDS[method] in can),
  );
  return inputRequired({ inputRequests, ...(state && { requestState: await states.mint({ round }) }) });
}

async function call(name, does, args, context) {
  if (does.gives) return filled(does.gives, args);
  const { mcpReq } = context;
  if (does.logs) {
    for (const line of does.logs) await mcpReq.log("info", line);
    return says("logged");
  }
  if (does.progress) {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of progressToken === undefined ? [] : does.progress) {
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
      await pause();
    }
    return says("done");
  }
  if (does.needs) {
    const messages = [{ role: "user", content: { type: "text", text: "Say pong" } }];
    const ping = { ping: inputRequired.createMessage({ messages, maxTokens: 10 }) };
    return mcpReq.inputResponses?.ping ? says("pong") : inputRequired({ inputRequests: ping });
  }
  if (does.changes) {
    if (does.changes === "tools") handler.notify.toolsChanged();
    else handler.notify.promptsChanged();
    return says("told");
  }
  if (does.rounds) {
    return (await asked(does, context)) ?? says(`state-ok: ${JSON.stringify(mcpReq.inputResponses)}`);
  }
  // This SDK does not know the extension for tasks: what may take its time is done at once.
  if (does.task) return says("done");
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, `no tool ${name} at this version`);
}

function served() {
  const requestState = { verify: states.verify };
  const server = new McpServer({ name: "conformance", version: "1" }, { capabilities, requestState });
  for (const { name, description, inputSchema, does } of tools) {
    const schema = fromJsonSchema(inputSchema);
    server.registerTool(name, { description, inputSchema: schema }, (args, context) => call(name, does, args, context));
  }
  const on = (method, handle) => server.server.setRequestHandler(method, handle);
  on("prompts/list", () => ({ prompts: prompts.map(listed) }));
  on("prompts/get", async ({ params }, context) => {
    const does = prompts.find(({ name }) => name === params.name)?.does;
    if (!does) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `no prompt ${params.name}`);
    if (does.gives) return filled(does.gives, params.arguments);
    const { inputResponses } = context.mcpReq;
    const message = { role: "user", content: { type: "text", text: `In this context: ${JSON.stringify(inputResponses)}` } };
    return (await asked(does, context)) ?? { messages: [message] };
  });
  on("resources/list", () => ({ resources: resources.map(listed) }));
  on("resources/templates/list", () => ({ resourceTemplates: templates.map(listed) }));
  on("resources/read", ({ params: { uri } }) => {
    const read = contents(uri);
    if (!read) throw new ProtocolError(ProtocolErrorCode.InvalidParams, "Resource not found", { uri });
    return read;
  });
  on("completion/complete", ({ params: { argument } }) => {
    const values = ["paris", "park", "party"].filter((value) => value.startsWith(argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  return server;
}

const handler = createMcpHandler(served, { legacy: "reject" });

serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT),
  fetch: (request) =>
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins()) ??
    handler.fetch(request),
});
