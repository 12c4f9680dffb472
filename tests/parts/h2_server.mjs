// A server that speaks HTTP/2 over TLS, Node's own, with paths that show what it can do; `/mcp` is
// an MCP server that runs elsewhere.
//
//   node h2_server.mjs '{"key": "right.key", "cert": "right.pem", "backend": "http://…/mcp"}'

import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { once } from 'node:events';

import {
  configuration, Counts, exitWithParent, Gate, readBody, sendJson, startControl,
} from './lib/control.mjs';
import { Faults } from './lib/faults.mjs';

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;

const settings = configuration({
  key: null, cert: null, backend: null,
  http2: true, // false: HTTP/1.1 only
  max_streams: 100,
});
const counts = new Counts([
  'sessions', 'requests', 'events_open', 'refused', 'left', 'dropped', 'reset', 'http1', 'held',
]);

const noConnectionFields = (headers) => Object.fromEntries(Object.entries(headers)
  .filter(([name]) => !/^(:.*|connection|keep-alive|transfer-encoding|host)$/.test(name)));

function forward(req, res) {
  const asked = http.request(settings.backend, {
    method: req.method, headers: noConnectionFields(req.headers),
  }, (answer) => {
    res.writeHead(answer.statusCode, noConnectionFields(answer.headers));
    res.flushHeaders?.();
    answer.pipe(res);
  });
  res.on('close', () => asked.destroy());
  req.pipe(asked);
}

/** Does `wrong` to one request, and answers the others. */
function atOne(name, number, wrong) {
  return async (req, res) => {
    counts.add(name);
    if (counts.get(name) === number) wrong(req.stream);
    else sendJson(res, 200, { got: String(await readBody(req)) });
  };
}

const paths = {
  '/mcp': forward,
  '/echo': (req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.flushHeaders?.();
    req.pipe(res);
  },
  '/fields': async (req, res) => {
    await readBody(req);
    sendJson(res, 200, req.headers);
  },
  '/events': (req, res) => {
    counts.add('events_open');
    res.on('close', () => counts.add('events_open', -1));
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write('data: hello\n\n');
  },
  '/trailers': (req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.write('{}');
    res.addTrailers({ 'x-trailer': 'late' });
    res.end();
  },
  '/reset': (req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write('data: half', () => {
      counts.add('reset');
      req.stream.close(NGHTTP2_INTERNAL_ERROR);
    });
  },
  '/refuse': atOne('refused', 1, (stream) => stream.close(NGHTTP2_REFUSED_STREAM)),
  // The second: the last stream that a server takes cannot be none.
  '/leave': atOne('left', 2, (stream) => stream.session.goaway(NGHTTP2_NO_ERROR, stream.id - 2)),
  '/drop': atOne('dropped', 1, (stream) => stream.session.destroy()),
};

const server = (settings.http2 ? http2.createSecureServer : https.createServer)({
  key: readFileSync(settings.key),
  cert: readFileSync(settings.cert),
  settings: { maxConcurrentStreams: settings.max_streams },
});
server.on('session', (session) => {
  counts.add('sessions');
  session.on('error', () => {});
});
server.on('request', (req, res) => {
  counts.add('requests');
  if (req.httpVersionMajor === 1) counts.add('http1');
  req.on('error', () => {});
  res.on('error', () => {});
  req.stream?.on('error', () => {});
  (paths[req.url.split('?')[0]] ?? ((_, other) => sendJson(other, 404, {})))(req, res);
});
server.listen({ host: '127.0.0.1', port: 0 });
await once(server, 'listening');

const control = await startControl({
  counts, faults: new Faults(), gate: new Gate(counts), log: [], routes: {},
});
exitWithParent();
console.log(JSON.stringify({
  ready: true, url: `https://localhost:${server.address().port}`, control,
}));
