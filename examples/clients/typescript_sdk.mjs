// Lists a server's tools through callgate and calls one: `typescript_sdk.mjs URL TOOL ARGUMENTS`, with
// `@modelcontextprotocol/client` installed. The token of the caller's grant is in CALLGATE_TOKEN.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, tool, args] = process.argv.slice(2);
const token = process.env.CALLGATE_TOKEN;
const headers = token ? { authorization: `Bearer ${token}` } : {};

const client = new Client({ name: "example", version: "1" }, { versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
console.log((await client.listTools()).tools.map(({ name }) => name).join(" "));
const result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
console.log(result.isError ? "denied or failed:" : "done:", ...result.content.map(({ text }) => text));
await client.close();
