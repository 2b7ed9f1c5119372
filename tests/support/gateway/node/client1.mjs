// A client on the TypeScript SDK, first generation: `client1.mjs OPTIONS`. Prints what it saw.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";

import { run } from "./steps.mjs";

await run(async ({ target, headers }, handlers) => {
  const client = new Client({ name: "callgate-tests", version: "1" }, { capabilities: handlers.capabilities });
  if (handlers.capabilities.sampling) client.setRequestHandler(types.CreateMessageRequestSchema, handlers.sampling);
  if (handlers.capabilities.elicitation) client.setRequestHandler(types.ElicitRequestSchema, handlers.elicitation);
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, handlers.logged);
  for (const change of [
    types.ToolListChangedNotificationSchema,
    types.PromptListChangedNotificationSchema,
    types.ResourceListChangedNotificationSchema,
    types.ResourceUpdatedNotificationSchema,
  ]) {
    client.setNotificationHandler(change, handlers.notified);
  }
  client.call = (params, options) => client.callTool(params, undefined, options);
  const transport = target.url
    ? new StreamableHTTPClientTransport(new URL(target.url), { requestInit: { headers } })
    : new StdioClientTransport({ command: target.command[0], args: target.command.slice(1), env: target.environment });
  await client.connect(transport);
  const close = async () => {
    if (target.url) await transport.terminateSession();
    await client.close();
  };
  return { client, version: () => transport.protocolVersion ?? null, close };
});
