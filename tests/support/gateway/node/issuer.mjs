// A real OpenID provider for the tests. It logs in, without a question, the account that the test has named last.
//
// The argument is JSON: {"clients": [...], "accounts": {"ann": {"groups": ["dba"]}}}. The first line of output is its URL.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

const { clients, accounts } = JSON.parse(process.argv[2]);
const keys = [];
let present = Object.keys(accounts)[0];
let provider;
let callback;

function addKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  // The first one signs.
  keys.unshift({ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" });
}

function begin(url) {
  provider = new Provider(url, {
    clients,
    jwks: { keys },
    claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
    scopes: ["openid", "profile", "groups"],
    // Claims of scopes are in ID tokens too, as most issuers have them.
    conformIdTokenClaims: false,
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    cookies: { keys: [randomUUID()] },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: `${id}@example.com`, ...accounts[id] }),
    }),
    ttl: { AccessToken: 60, AuthorizationCode: 60, DeviceCode: 120, Grant: 600, IdToken: 300, Interaction: 60, Session: 600 },
    // Logouts go to loopback here, which the library refuses elsewhere.
    fetch: (to, { dispatcher, ...options }) => fetch(to, options),
  });
  callback = provider.callback();
}

async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    await provider.interactionFinished(request, response, { login: { accountId: present } });
    return;
  }
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
  const grant = known ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

const server = createServer(async (request, response) => {
  try {
    if (request.url.startsWith("/test/account/")) {
      present = request.url.split("/").pop();
      response.end();
    } else if (request.url === "/test/rotate") {
      addKey();
      keys.splice(1);
      begin(provider.issuer);
      response.end();
    } else if (request.url.startsWith("/interaction/")) {
      await interact(request, response);
    } else {
      callback(request, response);
    }
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});

server.listen(0, "127.0.0.1", () => {
  addKey();
  begin(`http://127.0.0.1:${server.address().port}`);
  console.log(provider.issuer);
});
