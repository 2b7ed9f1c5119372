// A client on the TypeScript SDK, second generation: `client.mjs OPTIONS`. Prints what it saw.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { run } from "./steps.mjs";

const MODERN = "2026-07-28";
const CHANGES = ["tools/list_changed", "prompts/list_changed", "resources/list_changed", "resources/updated"];

await run(async ({ target, headers, version }, handlers) => {
  const modes = version === MODERN ? { pin: MODERN } : version === null ? "auto" : "legacy";
  const client = new Client(
    { name: "callgate-tests", version: "1" },
    {
      capabilities: handlers.capabilities,
      versionNegotiation: { mode: modes },
      // An older client is one that knows no newer version.
      ...(version === null ? {} : { supportedProtocolVersions: [version] }),
    },
  );
  if (handlers.capabilities.sampling) client.setRequestHandler("sampling/createMessage", handlers.sampling);
  if (handlers.capabilities.elicitation) client.setRequestHandler("elicitation/create", handlers.elicitation);
  client.setNotificationHandler("notifications/message", handlers.logged);
  for (const change of CHANGES) client.setNotificationHandler(`notifications/${change}`, handlers.notified);
  client.call = (params, options) => client.callTool(params, options);
  const transport = target.url
    ? new StreamableHTTPClientTransport(new URL(target.url), { requestInit: { headers } })
    : new StdioClientTransport({ command: target.command[0], args: target.command.slice(1), env: target.environment });
  await client.connect(transport);
  const close = async () => {
    if (target.url) await transport.terminateSession();
    await client.close();
  };
  return { client, version: () => client.getNegotiatedProtocolVersion(), close };
});
