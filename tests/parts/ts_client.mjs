// The official TypeScript SDK as an agent would use it: version 1, or with `--sdk 2` version 2, which
// with `--mode auto` asks for the revision without sessions first.
//
//   DOORWARD_SESSION=… node ts_client.mjs URL [--calls N] [--parallel N] [--notifications N]
//                                             [--timeout SECONDS] [--interactive] [--sse]
//                                             [--sdk 1|2] [--mode legacy|auto]
//                                             [--listen] [--person CONTROL]
//   node ts_client.mjs --stdio '["PROGRAM", "ARGUMENT"…]' …
//
// Connects, lists the tools, calls `echo` N times, and can wait for N notifications on the event
// stream. Prints one JSON line and exits with 0 or 1. With --interactive it then obeys lines on
// standard input (`call [N]`, `list`, `notifications N`), answers each with one JSON line, and
// prints the result when the input ends. With --listen it lists the tools again by itself whenever it
// hears that they have changed, and `tools N` waits until there are so many. With --person it says that
// it can open links, and follows the one of a sign-in; CONTROL is that of authorization_server.mjs.

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values: options, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    calls: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '1' },
    notifications: { type: 'string', default: '0' },
    timeout: { type: 'string', default: '60' },
    interactive: { type: 'boolean', default: false },
    stdio: { type: 'string' },
    sse: { type: 'boolean', default: false },
    sdk: { type: 'string', default: '1' },
    mode: { type: 'string', default: 'legacy' },
    listen: { type: 'boolean', default: false },
    person: { type: 'string' },
  },
});

const sdks = {
  1: async () => ({
    ...await import('@modelcontextprotocol/sdk/client/index.js'),
    ...await import('@modelcontextprotocol/sdk/client/sse.js'),
    ...await import('@modelcontextprotocol/sdk/client/stdio.js'),
    ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    logged: (await import('@modelcontextprotocol/sdk/types.js')).LoggingMessageNotificationSchema,
  }),
  2: async () => ({
    ...await import('@modelcontextprotocol/client'),
    ...await import('@modelcontextprotocol/client/stdio'),
    logged: 'notifications/message',
  }),
};
const {
  Client, SSEClientTransport, StdioClientTransport, StreamableHTTPClientTransport, logged,
} = await sdks[options.sdk]();

const result = {
  ok: false, client: 'typescript', server: null, tools: [], calls: 0, notifications: 0, errors: [],
};
const waiting = [];

const print = (value) => console.log(JSON.stringify(value));

function note(step, error) {
  const entry = { step, kind: error.name ?? 'Error', message: String(error.message ?? error) };
  if (error.code !== undefined) entry.code = error.code;
  if (error.data !== undefined) entry.data = error.data;
  result.errors.push(entry);
  return entry;
}

/** Runs a step; resolves to what it gives, or to undefined after noting why it failed. */
async function attempt(step, run) {
  try {
    return await run();
  } catch (error) {
    note(step, error);
    return undefined;
  }
}

async function call(client, number) {
  const message = `message ${number}`;
  const answer = await client.callTool({ name: 'echo', arguments: { message } });
  const text = answer.content?.[0]?.text;
  if (answer.isError) throw Object.assign(new Error(text), { name: 'ToolError' });
  if (text !== `Echo: ${message}`) throw new Error(`unexpected answer: ${text}`);
  result.calls += 1;
}

async function calls(client, total, parallel) {
  let next = 0;
  const worker = async () => {
    while (next < total) {
      next += 1;
      const number = next;
      await attempt('call', () => call(client, number));
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

function notifications(atLeast) {
  return new Promise((resolve) => {
    waiting.push({ atLeast, resolve });
    if (result.notifications >= atLeast) resolve();
  });
}

const startNotifications = (client) => client
  .callTool({ name: 'toggle-simulated-logging', arguments: {} });

async function list(client) {
  result.tools = (await client.listTools()).tools.map(({ name }) => name);
}

/** Lists that the SDK asks for by itself. */
const changed = (error, tools) => {
  if (error) note('changed', error);
  else result.tools = tools.map(({ name }) => name);
  wake();
};

let wake = () => {};
async function tools(count) {
  while (result.tools.length !== count) await new Promise((resolve) => { wake = resolve; });
}

/** Opens the link of a sign-in, as a person would whose browser is four requests. */
async function opened({ params }) {
  const page = await fetch(params.url, { redirect: 'manual' });
  const cookie = page.headers.get('set-cookie').split(';')[0];
  const walked = await fetch(`${options.person}/sign-in`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ url: page.headers.get('location'), deliver: false }),
  });
  await fetch((await walked.json()).location, { headers: { cookie } });
  return { action: 'accept' };
}

async function obey(client) {
  let notifying = false;
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, count = '1'] = line.trim().split(/\s+/);
    const [before, failures] = [result.calls, result.errors.length];
    if (word === 'call') await calls(client, Number(count), Number(options.parallel));
    else if (word === 'list') await attempt('list', () => list(client));
    else if (word === 'tools') await tools(Number(count));
    else if (word === 'notifications') {
      if (!notifying) await attempt('notifications', () => startNotifications(client));
      notifying = true;
      await notifications(result.notifications + Number(count));
    } else note('input', new Error(`unknown: ${line}`));
    const errors = result.errors.slice(failures);
    print({
      done: word, ok: errors.length === 0, calls: result.calls - before,
      tools: result.tools.length, notifications: result.notifications, errors,
    });
  }
}

function finish() {
  result.ok = result.errors.length === 0;
  print(result);
  process.exit(result.ok ? 0 : 1);
}

const client = new Client(
  { name: 'parts-typescript', version: '1.0.0' },
  {
    versionNegotiation: { mode: options.mode },
    capabilities: options.person ? { elicitation: { url: {} } } : {},
    ...(options.listen ? { listChanged: { tools: { onChanged: changed } } } : {}),
  },
);
if (options.person && options.sdk === '2') client.setRequestHandler('elicitation/create', opened);
client.onerror = () => {};
client.setNotificationHandler(logged, () => {
  result.notifications += 1;
  for (const { atLeast, resolve } of waiting) if (result.notifications >= atLeast) resolve();
});
setTimeout(() => {
  note('timeout', new Error(`not finished after ${options.timeout} s`));
  finish();
}, Number(options.timeout) * 1000);

const bearer = process.env.DOORWARD_SESSION;
const [command, ...args] = options.stdio ? JSON.parse(options.stdio) : [];
const transport = command
  ? new StdioClientTransport({ command, args, stderr: 'inherit' })
  : new (options.sse ? SSEClientTransport : StreamableHTTPClientTransport)(new URL(url), {
    requestInit: { headers: bearer ? { authorization: `Bearer ${bearer}` } : {} },
  });
const connected = await attempt('connect', async () => {
  await client.connect(transport);
  result.server = client.getServerVersion()?.name ?? null;
  return true;
});
if (connected) {
  await attempt('list', () => list(client));
  await calls(client, Number(options.calls), Number(options.parallel));
  if (Number(options.notifications) > 0) {
    await attempt('notifications', () => startNotifications(client));
    await notifications(Number(options.notifications));
  }
}
if (options.interactive) {
  print({
    connected: connected === true, revision: client.getNegotiatedProtocolVersion?.() ?? null,
    tools: result.tools.length, calls: result.calls, errors: result.errors,
  });
  await obey(client);
}
if (connected) await attempt('close', () => transport.terminateSession?.());
await client.close();
finish();
