// The scenarios without a sign-in: what the agent does in each. Nothing here is about doorward,
// which only has to be as good as not there.

import { connect } from './agent.mjs';

const elicited = (client) =>
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));

async function with_(options, use) {
  const client = await connect(options.url, options.credential, options);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

const listed = (options) => with_(options, (client) => client.listTools());

/** Calls every tool that is offered; one that cannot be called keeps no other from it. */
async function everyTool(client, args = () => ({})) {
  const { tools } = await client.listTools();
  for (const tool of tools) {
    await client
      .callTool({ name: tool.name, arguments: args(tool) })
      .catch((error) => console.error(`${tool.name}: ${error.message}`));
  }
}

export const CORE = {
  initialize: listed,
  tools_call: (options) =>
    with_(options, (client) =>
      client.callTool({ name: 'add_numbers', arguments: { a: 5, b: 3 } }),
    ),
  'elicitation-sep1034-client-defaults': (options) =>
    with_(
      {
        ...options,
        capabilities: { elicitation: { form: { applyDefaults: true } } },
        prepare: elicited,
      },
      (client) => everyTool(client),
    ),
  'sse-retry': (options) =>
    with_(options, async (client) => {
      await client.listTools();
      await client.callTool({ name: 'test_reconnection', arguments: {} });
    }),
  'request-metadata': (options) =>
    with_(
      {
        ...options,
        capabilities: { roots: {}, sampling: {}, elicitation: {} },
      },
      (client) => client.listTools(),
    ),
  'sep-2322-client-request-state': (options) =>
    with_(
      { ...options, capabilities: { elicitation: {} }, prepare: elicited },
      (client) => everyTool(client),
    ),
  'http-standard-headers': (options) =>
    with_(options, async (client) => {
      await everyTool(client);
      const { resources } = await client.listResources();
      for (const { uri } of resources) await client.readResource({ uri });
      const { prompts } = await client.listPrompts();
      for (const { name } of prompts) await client.getPrompt({ name });
    }),
  'http-custom-headers': (options) =>
    with_(options, async (client) => {
      await client.listTools();
      for (const { name, arguments: args } of options.context.toolCalls ?? []) {
        await client
          .callTool({ name, arguments: args })
          .catch((error) => console.error(`${name}: ${error.message}`));
      }
    }),
  'http-invalid-tool-headers': (options) =>
    with_(options, async (client) => {
      const { tools } = await client.listTools();
      for (const { name } of tools) {
        await client
          .callTool({ name, arguments: { region: 'eu' } })
          .catch((error) => console.error(`${name}: ${error.message}`));
      }
    }),
  'json-schema-ref-no-deref': listed,
  'json-schema-2020-12-preservation': (options) =>
    with_(options, async (client) => {
      const { tools } = await client.listTools();
      const echo = tools.find(({ inputSchema }) => inputSchema.properties?.schema);
      const focal = tools.find((tool) => tool !== echo);
      await client.callTool({ name: echo.name, arguments: { schema: focal.inputSchema } });
    }),
};
