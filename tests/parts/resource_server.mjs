// A protected MCP server: a guard that checks bearer tokens, in front of the real
// @modelcontextprotocol/server-everything, or of one without sessions (stateless_server.mjs).
//
//   node resource_server.mjs '{"issuer": "http://…", "check": "http://…"}'
//
// `check` is the control side of authorization_server.mjs. Prints one JSON line when it is ready
// and ends, with its child, when its standard input ends. Everything in DEFAULTS can be set by
// the argument; everything in `mode` also later, by POST /mode.

import { fork } from 'node:child_process';
import http from 'node:http';

import {
  configuration, Counts, exitWithParent, Gate, listen, readBody, sendJson, sha256, startControl,
  wiretap,
} from './lib/control.mjs';
import { answerBefore, Faults } from './lib/faults.mjs';
import { unproved } from './lib/proof.mjs';

const DEFAULTS = {
  port: 0,
  path: '/mcp',
  issuer: null, // in authorization_servers of the metadata; a list is taken as it is
  check: null,
  backend: null, // an MCP endpoint that runs already, instead of a child of our own
  stateless: false, // the server behind is one of 2026-07-28
  notification_ms: 200,
  // The rest is `mode`.
  metadata: 'header', // "header": named in the challenge and at the well-known path,
  //                     "header_only": at an address that only the challenge tells,
  //                     "path" or "root": at that well-known address only, "none"
  resource: null, // identifier in the metadata and audience of tokens, if not the address
  scopes_supported: null,
  challenge_scope: null,
  bearer_methods: true,
  dpop: false, // wants tokens that are bound to a key, and a proof with each request
  dpop_nonce: null, // what those proofs have to repeat
  protected: true, // false lets every request through
  answer_headers: {}, // put on every answer of the MCP endpoint
  wiretap: false, // keep what clients send, for POST /seen
};

const mode = configuration(DEFAULTS);
const counts = new Counts([
  'requests', 'post', 'get', 'delete', 'other', 'status_401', 'answered', 'metadata_requests',
  'tools_call', 'sessions', 'streams_open', 'answers_open', 'faults_injected', 'held', 'refused_missing',
  'refused_unknown', 'refused_expired', 'refused_superseded', 'refused_revoked',
  'refused_audience', 'refused_fault', 'refused_nonce', 'refused_bound', 'refused_proof',
]);
const faults = new Faults();
const gate = new Gate(counts);
const log = [];
const streams = new Set();
const answers = new Set();
const deadSessions = new Set();
// Idle connections go long before the other side closes them (5 s at the earliest): one could be
// closed just as a request starts on it.
const agent = new http.Agent({ keepAlive: true, timeout: 1000 });
let child;

const HOP_BY_HOP = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection',
  'te', 'trailer', 'transfer-encoding', 'upgrade',
]);

/** Header fields as [name, value], from the flat list that keeps their order and case. */
const pairs = (raw) => raw
  .flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1]]] : []));

/** Starts the MCP server; resolves to its endpoint. */
function startServer() {
  const everything = './node_modules/@modelcontextprotocol/server-everything/dist/index.js';
  const main = new URL(mode.stateless ? './stateless_server.mjs' : everything, import.meta.url);
  const alone = new URL('./lib/loopback_only.mjs', import.meta.url).href;
  child = fork(main, mode.stateless ? [] : ['streamableHttp'], {
    execArgv: mode.stateless ? [] : ['--import', alone],
    env: { ...process.env, NOTIFICATION_MS: String(mode.notification_ms) },
    stdio: ['ignore', 'ignore', process.env.PARTS_VERBOSE ? 'inherit' : 'ignore', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('message', ({ port }) => resolve(`http://127.0.0.1:${port}/mcp`));
    child.once('exit', (code) => reject(new Error(`the server behind ended with ${code}`)));
  });
}

/** What the authorization server says about a token. */
function ask(token) {
  return new Promise((resolve, reject) => {
    const req = http.request(`${mode.check}/check`, { method: 'POST', agent }, async (res) => {
      resolve(JSON.parse(await readBody(res)));
    });
    req.on('error', reject).end(JSON.stringify({ token }));
  });
}

/** Undefined when the token is good, else why it is not. Notes in the entry what it learns. */
async function refusal(req, entry, resource) {
  if (!mode.protected) return undefined;
  const scheme = mode.dpop ? /^DPoP +(\S+)$/i : /^Bearer +(\S+)$/i;
  const [, token] = scheme.exec(req.headers.authorization ?? '') ?? [];
  if (!token) return 'missing';
  const facts = await ask(token);
  entry.generation = facts.generation ?? null;
  entry.account = facts.account ?? null;
  if (!facts.active) return facts.reason;
  if (![facts.aud].flat().includes(resource)) return 'audience';
  if (!mode.dpop) return facts.jkt ? 'bound' : undefined;
  const url = `http://${req.headers.host}${req.url.split('?')[0]}`;
  return unproved(req, url, token, facts.jkt, mode.dpop_nonce);
}

function challenge(res, why, pointer) {
  const quoted = {
    ...(why === 'missing' ? {} : {
      error: why === 'nonce' ? 'use_dpop_nonce' : 'invalid_token', error_description: why,
    }),
    ...(mode.challenge_scope ? { scope: mode.challenge_scope } : {}),
    ...(pointer ? { resource_metadata: pointer } : {}),
  };
  const list = Object.entries(quoted).map(([name, value]) => `${name}="${value}"`).join(', ');
  sendJson(res, 401, { error: 'invalid_token', error_description: why }, {
    'www-authenticate': [mode.dpop ? 'DPoP' : 'Bearer', list].filter(Boolean).join(' '),
    ...(why === 'nonce' ? { 'dpop-nonce': mode.dpop_nonce } : {}),
  });
}

/** What the message says, for the log and for faults that look for one kind of message. */
function messageFacts(body) {
  try {
    const message = JSON.parse(body);
    return {
      rpc: message.method ?? null, rpc_id: message.id ?? null, tool: message.params?.name ?? null,
    };
  } catch {
    return { rpc: null, rpc_id: null, tool: null };
  }
}

/** Sends the request on and streams the answer back; `fault` may spoil the way back. */
function forward(req, res, body, backend, entry, fault) {
  const headers = pairs(req.rawHeaders).filter(([name]) => {
    const lower = name.toLowerCase();
    return !HOP_BY_HOP.has(lower) && !['host', 'authorization', 'content-length'].includes(lower);
  }).flat();
  if (req.method === 'POST') headers.push('content-length', String(body.length));
  const { host } = new URL(backend);
  const onward = http.request(backend, {
    method: req.method, headers: ['host', host, ...headers], agent,
  });
  onward.on('error', () => res.destroy());
  res.on('close', () => onward.destroy());
  onward.on('response', async (answer) => {
    entry.status = answer.statusCode;
    const session = answer.headers['mcp-session-id'];
    if (entry.rpc === 'initialize' && session) {
      entry.session = session;
      counts.add('sessions');
    }
    if (fault?.kind === 'commit_then_drop') {
      await readBody(answer).catch(() => {});
      res.socket?.destroy();
      return;
    }
    if (fault?.kind === 'hold_after' && !(await gate.hold(res))) return;
    const back = pairs(answer.rawHeaders)
      .filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()));
    res.writeHead(answer.statusCode, [...back, ...Object.entries(mode.answer_headers)].flat());
    res.flushHeaders();
    if (req.method === 'GET' && answer.statusCode === 200) {
      streams.add(res);
      counts.add('streams_open');
      res.on('close', () => {
        streams.delete(res);
        counts.add('streams_open', -1);
      });
    }
    if (req.method === 'POST' && /event-stream/.test(answer.headers['content-type'] ?? '')) {
      answers.add(res);
      counts.add('answers_open');
      res.on('close', () => {
        answers.delete(res);
        counts.add('answers_open', -1);
      });
    }
    if (fault?.kind === 'drop_midway') {
      answer.once('data', (chunk) => {
        res.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => res.socket?.destroy());
      });
      return;
    }
    answer.on('error', () => res.destroy());
    answer.on('end', () => counts.add('answered'));
    answer.pipe(res);
  });
  onward.end(body);
}

/** The MCP endpoint. */
async function endpoint(req, res, facts) {
  const entry = {
    method: req.method,
    path: req.url,
    at: new Date().toISOString(),
    uptime_ms: Math.round(performance.now()),
    headers: pairs(req.rawHeaders).map(([name, value]) => (
      name.toLowerCase() === 'authorization' ? [name, `sha256:${sha256(value)}`] : [name, value]
    )),
    session: req.headers['mcp-session-id'] ?? null,
    token_sha256: null,
    generation: null,
    account: null,
    refused: null,
    status: null,
  };
  const [, token] = /^(?:Bearer|DPoP) +(\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
  if (token) entry.token_sha256 = sha256(token);
  log.push(entry);
  counts.add('requests');
  const counted = { POST: 'post', GET: 'get', DELETE: 'delete' }[req.method] ?? 'other';
  counts.add(counted);
  const body = await readBody(req);
  Object.assign(entry, messageFacts(body), { body_length: body.length, body_sha256: sha256(body) });

  const fault = faults.take({
    on: req.method, rpc: entry.rpc, tool: entry.tool, session: entry.session,
    token_sha256: entry.token_sha256,
  });
  if (fault) {
    entry.fault = fault.kind;
    counts.add('faults_injected');
  }
  if (await answerBefore(fault, res, gate)) {
    entry.status = res.headersSent ? res.statusCode : null;
    if (entry.status === 401) counts.add('status_401');
    return;
  }
  const why = fault?.kind === 'reject' ? 'fault' : await refusal(req, entry, facts.resource());
  if (why) {
    entry.refused = why;
    entry.status = 401;
    counts.add('status_401');
    counts.add(why.startsWith('proof') ? 'refused_proof' : `refused_${why}`);
    challenge(res, why, facts.pointer());
    return;
  }
  if (fault?.kind === 'session_404' && entry.session) deadSessions.add(entry.session);
  if (deadSessions.has(entry.session)) {
    entry.status = 404;
    sendJson(res, 404, {
      jsonrpc: '2.0', id: entry.rpc_id, error: { code: -32001, message: 'Session not found' },
    });
    return;
  }
  if (entry.rpc === 'tools/call') {
    counts.add('tools_call');
    entry.executed = true;
  }
  forward(req, res, body, facts.backend, entry, fault);
}

/** The protected resource metadata, and where it is found. */
function metadataFacts(url) {
  const wellKnown = '/.well-known/oauth-protected-resource';
  const own = mode.path === '/' ? url : `${url}${mode.path}`;
  const atPath = mode.path === '/' ? wellKnown : `${wellKnown}${mode.path}`;
  const address = () => ({
    header: atPath, header_only: '/resource-metadata', path: atPath, root: wellKnown,
  }[mode.metadata]);
  const resource = () => mode.resource ?? (mode.metadata === 'root' ? url : own);
  return {
    address,
    resource,
    pointer: () => (mode.metadata.startsWith('header') ? `${url}${address()}` : null),
    document: () => ({
      resource: resource(),
      authorization_servers: [mode.issuer ?? []].flat(),
      ...(mode.scopes_supported ? { scopes_supported: mode.scopes_supported } : {}),
      ...(mode.bearer_methods ? { bearer_methods_supported: ['header'] } : {}),
    }),
  };
}

async function main() {
  const backend = mode.backend ?? await startServer();
  const server = http.createServer();
  const seen = mode.wiretap ? wiretap(server) : undefined;
  const origin = await listen(server, mode.port);
  const facts = { ...metadataFacts(origin), backend };
  server.on('request', (req, res) => {
    const [path] = req.url.split('?');
    if (path === mode.path) {
      endpoint(req, res, facts).catch((error) => {
        if (!req.destroyed) console.error(error);
        res.destroy();
      });
      return;
    }
    const metadata = path.includes('/.well-known/') || path === '/resource-metadata';
    if (metadata) counts.add('metadata_requests');
    const found = path === facts.address();
    log.push({
      method: req.method, path: req.url, at: new Date().toISOString(),
      uptime_ms: Math.round(performance.now()), status: found ? 200 : 404,
    });
    if (found) sendJson(res, 200, facts.document());
    else sendJson(res, 404, { error: 'not_found' });
  });

  const control = await startControl({
    counts,
    log,
    faults,
    gate,
    lasting: ['held', 'streams_open', 'answers_open'],
    routes: {
      'GET /tools': () => {
        const tools = {};
        for (const { executed, tool } of log) if (executed) tools[tool] = (tools[tool] ?? 0) + 1;
        return tools;
      },
      'GET /mode': () => mode,
      'POST /seen': (body) => seen(body),
      'POST /mode': (body) => Object.assign(mode, body),
      'POST /cut-streams': () => {
        const open = [...streams];
        for (const res of open) res.socket?.destroy();
        return { cut: open.length };
      },
      'POST /cut-answers': () => {
        const open = [...answers];
        for (const res of open) res.socket?.destroy();
        return { cut: open.length };
      },
      'POST /another-tool': (body) => { child.send(body); return {}; },
      'POST /write-streams': (body) => {
        for (const res of streams) res.write(body.text);
        return { written: streams.size };
      },
      'POST /end-sessions': () => {
        const known = log.map(({ session }) => session).filter(Boolean);
        for (const session of known) deadSessions.add(session);
        return { ended: new Set(known).size };
      },
    },
  });
  const url = mode.path === '/' ? origin : `${origin}${mode.path}`;
  console.log(JSON.stringify({ ready: true, url, origin, control, backend, pid: process.pid }));
}

exitWithParent(() => child?.kill('SIGKILL'));
process.on('exit', () => child?.kill('SIGKILL'));
await main();
