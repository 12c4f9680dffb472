// A server made with the official SDK, with the tools, resources and prompts that the suite asks
// for, in both eras: sessions for revisions that shake hands, none for those that do not. It need
// not pass everything: what counts is that it does the same behind doorward.
//
// Prints one JSON line when it listens, and ends when its standard input ends.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import {
  localhostHostValidation,
  localhostOriginValidation,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import {
  acceptedContent,
  createMcpHandler,
  inputRequired,
  isLegacyRequest,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import * as z from 'zod';

const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAESsAACJWAAACABAAZGF0YQAAAAA=';

const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri) => ({
  type: 'resource',
  resource: { uri, mimeType: 'text/plain', text: 'This is an embedded resource content.' },
});
const said = (...content) => ({ messages: content.map((one) => ({ role: 'user', content: one })) });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function make() {
  const server = new McpServer(
    { name: 'doorward-fixture', version: '1.0.0' },
    { capabilities: { logging: {}, tools: {}, resources: { subscribe: true }, prompts: {} } },
  );
  tools(server);
  asking(server);
  resources(server);
  prompts(server);
  return server;
}

function tools(server) {
  const tool = (name, content) =>
    server.registerTool(name, { description: name }, async () => ({ content }));
  tool('test_simple_text', [text('This is a simple text response for testing.')]);
  tool('test_image_content', [image]);
  tool('test_audio_content', [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }]);
  tool('test_embedded_resource', [embedded('test://embedded-resource')]);
  tool('test_multiple_content_types', [
    text('Multiple content types test:'),
    image,
    embedded('test://mixed-content-resource'),
  ]);
  server.registerTool('test_error_handling', { description: 'fails' }, async () => ({
    isError: true,
    content: [text('This tool intentionally returns an error for testing')],
  }));
  server.registerTool('test_tool_with_logging', { description: 'logs' }, async (context) => {
    for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await context.mcpReq.log('info', line);
      await pause(50);
    }
    return { content: [text('done')] };
  });
  server.registerTool('test_tool_with_progress', { description: 'progresses' }, async (context) => {
    const progressToken = context.mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        await context.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 100 },
        });
      }
      await pause(50);
    }
    return { content: [text('done')] };
  });
}

/**
 * The SDK would ask on the stream that the client opens by GET, and drop what it asks where that is
 * not open yet: clients open it beside their first call, so that it were a matter of luck.
 */
const onItsStream = (context) => ({ relatedRequestId: context.mcpReq.id });

/** Tools that ask back: by requests of the server where sessions are, else by their results. */
function asking(server) {
  const name = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
  server.registerTool(
    'test_sampling',
    { description: 'samples', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, context) => {
      const answer = await context.mcpReq.requestSampling(
        { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 },
        onItsStream(context),
      );
      return { content: [text(`LLM response: ${answer.content.text ?? ''}`)] };
    },
  );
  server.registerTool(
    'test_elicitation',
    { description: 'elicits', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, context) => {
      const requestedSchema = {
        type: 'object',
        properties: { username: { type: 'string' }, email: { type: 'string' } },
        required: ['username', 'email'],
      };
      const asked = { message, requestedSchema };
      const answer = await context.mcpReq.elicitInput(asked, onItsStream(context));
      return { content: [text(`User response: ${JSON.stringify(answer)}`)] };
    },
  );
  server.registerTool(
    'test_input_required_result_elicitation',
    { description: 'asks for a name' },
    async (context) => {
      const answer = acceptedContent(context.mcpReq.inputResponses, 'user_name');
      if (answer) return { content: [text(`Hello, ${answer.name}!`)] };
      return inputRequired({
        inputRequests: {
          user_name: inputRequired.elicit({ message: 'What is your name?', requestedSchema: name }),
        },
      });
    },
  );
}

function resources(server) {
  const resource = (name, uri, contents) =>
    server.registerResource(name, uri, { description: name }, async () => ({
      contents: [{ uri, ...contents }],
    }));
  resource('static-text', 'test://static-text', {
    mimeType: 'text/plain',
    text: 'This is the content of the static text resource.',
  });
  resource('static-binary', 'test://static-binary', { mimeType: 'image/png', blob: PNG });
  resource('watched', 'test://watched-resource', { mimeType: 'text/plain', text: 'watched' });
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { mimeType: 'application/json' },
    async (uri, { id }) => ({
      contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id }) }],
    }),
  );
  server.server.setRequestHandler('resources/subscribe', async () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', async () => ({}));
}

function prompts(server) {
  server.registerPrompt('test_simple_prompt', { description: 'simple' }, async () =>
    said(text('This is a simple prompt for testing.')),
  );
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'arguments', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    async ({ arg1, arg2 }) => said(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'embedded', argsSchema: z.object({ resourceUri: z.string() }) },
    async ({ resourceUri }) => said(embedded(resourceUri), text('Please process it.')),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'image' }, async () =>
    said(image, text('Please analyse the image above.')),
  );
}

const modern = toNodeHandler(createMcpHandler(make, { legacy: 'reject', onerror: console.error }));
const sessions = new Map();

async function legacy(request, response, body) {
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known) return known.handleRequest(request, response, body);
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await make().connect(transport);
  await transport.handleRequest(request, response, body);
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return undefined;
  }
}

const [host, origin] = [localhostHostValidation(), localhostOriginValidation()];
const server = createServer(async (request, response) => {
  if (!host(request, response) || !origin(request, response)) return;
  try {
    const body = request.method === 'POST' ? await read(request) : undefined;
    const old = await isLegacyRequest(await toWebRequest(request, body), body);
    await (old ? legacy : modern)(request, response, body);
  } catch (error) {
    console.error(error);
    if (!response.headersSent) response.writeHead(500).end();
  }
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/mcp` }));
});
process.stdin.resume().once('end', () => process.exit(0));
