// The steps and observations of a client, for both generations of the SDK.

const PATIENCE_MS = 30_000;

/** Reads the options, connects, does every step and prints what was seen. */
export async function run(connect) {
  const options = JSON.parse(process.argv[2]);
  const seen = { did: [], asked: [], notified: [], progress: [] };
  const { client, version, close } = await connect(options, handlers(options, seen));
  for (const todo of options.steps) {
    try {
      seen.did.push(await step(client, todo, seen));
    } catch (error) {
      seen.did.push({ outcome: "error", text: error.message, code: error.code ?? null });
    }
  }
  seen.version = version();
  seen.server = client.getServerVersion()?.name ?? null;
  await close();
  process.stdout.write(JSON.stringify(seen));
}

/** What answers the server's requests and takes its notifications. */
function handlers({ answers }, seen) {
  return {
    capabilities: {
      ...("sampling" in answers ? { sampling: {} } : {}),
      ...("elicitation" in answers ? { elicitation: {} } : {}),
    },
    sampling: async ({ params }) => {
      const content = params.messages.at(-1).content;
      seen.asked.push(`sampling: ${[content].flat()[0].text}`);
      return { role: "assistant", content: { type: "text", text: answers.sampling }, model: "test" };
    },
    elicitation: async ({ params }) => {
      seen.asked.push(`elicitation: ${params.message}`);
      return answers.elicitation;
    },
    logged: ({ params }) => {
      seen.notified.push(`log ${params.level}: ${params.data}`);
    },
    notified: ({ method }) => {
      seen.notified.push(method);
    },
  };
}

async function step(client, todo, seen) {
  const waits = { timeout: PATIENCE_MS };
  switch (todo.do) {
    case "list":
      return (await client.listTools({}, waits)).tools.map((tool) => tool.name).sort();
    case "call": {
      const onprogress = todo.progress ? { onprogress: ({ progress }) => seen.progress.push(progress) } : {};
      const result = await client.call({ name: todo.name, arguments: todo.arguments ?? {} }, { ...waits, ...onprogress });
      const text = result.content.map((part) => part.text ?? "").join("");
      return { outcome: result.isError ? "refused" : "done", text, meta: result._meta ?? null };
    }
    case "resources":
      return (await client.listResources({}, waits)).resources.map((resource) => resource.uri).sort();
    case "read":
      return (await client.readResource({ uri: todo.uri }, waits)).contents.map((content) => content.text);
    case "prompts":
      return (await client.listPrompts({}, waits)).prompts.map((prompt) => prompt.name).sort();
    case "prompt": {
      const prompt = await client.getPrompt({ name: todo.name, arguments: todo.arguments ?? {} }, waits);
      return prompt.messages.map((message) => message.content.text);
    }
    case "complete": {
      const ref = { type: "ref/prompt", name: todo.prompt };
      const argument = { name: todo.argument, value: todo.value };
      return (await client.complete({ ref, argument }, waits)).completion.values;
    }
    case "level":
      await client.setLoggingLevel(todo.level, waits);
      return "set";
    case "ping":
      await client.ping(waits);
      return "pong";
    default:
      throw new Error(`unknown step ${todo.do}`);
  }
}
