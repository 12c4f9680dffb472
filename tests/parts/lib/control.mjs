// What both servers here share: the control side, counters, faults, held requests, and the rule
// that a part never outlives the test that started it.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

export const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The configuration: one JSON object as the first argument, over the given defaults. */
export function configuration(defaults) {
  return { ...defaults, ...JSON.parse(process.argv[2] ?? '{}') };
}

/** Ends this process when its standard input ends, however the parent died. */
export function exitWithParent(beforeExit = () => {}) {
  const end = () => {
    beforeExit();
    process.exit(0);
  };
  process.stdin.on('end', end).on('close', end).on('error', end).resume();
  process.on('SIGTERM', end).on('SIGINT', end);
}

/** Binds to loopback; resolves to the origin. */
export async function listen(server, port = 0) {
  server.listen({ host: '127.0.0.1', port });
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

export async function readBody(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const sendJson = (res, status, value, headers = {}) => {
  const body = JSON.stringify(value);
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  res.end(body);
};

/**
 * Every byte that clients send to `server`, connection by connection. The function that it
 * returns tells which requests held one of the `needles` (an object of lists of texts): their
 * lines, and under which names.
 */
export function wiretap(server) {
  const connections = [];
  server.on('connection', (socket) => {
    const chunks = [];
    connections.push(chunks);
    socket.on('data', (chunk) => chunks.push(chunk));
  });
  return (needles) => {
    const found = [];
    for (const chunks of connections) {
      const text = Buffer.concat(chunks).toString('latin1');
      const starts = [...text.matchAll(/^[A-Z]+ \S+ HTTP\/1\.[01]\r$/gm)];
      for (const [name, list] of Object.entries(needles)) {
        for (const needle of list) {
          for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + 1)) {
            const line = starts.filter(({ index }) => index <= at).at(-1)?.[0].trim() ?? '?';
            found.push({ name, needle, line });
          }
        }
      }
    }
    return { connections: connections.length, found };
  };
}

/** Named counts that a test can wait for instead of sleeping. */
export class Counts {
  #values = {};
  #waiting = new Set();

  constructor(names) {
    this.names = names;
    this.clear();
  }

  add(name, by = 1) {
    this.#values[name] = (this.#values[name] ?? 0) + by;
    for (const check of this.#waiting) check();
  }

  get(name) {
    return this.#values[name] ?? 0;
  }

  all() {
    return { ...this.#values };
  }

  /** Back to zero, except the counts that tell what is open right now. */
  clear(keep = []) {
    const kept = keep.map((name) => [name, this.get(name)]);
    this.#values = Object.fromEntries([...this.names.map((name) => [name, 0]), ...kept]);
  }

  /** True once the count has reached `atLeast` (or fallen to `atMost`), false after the time. */
  wait(name, { atLeast = 0, atMost = Infinity, milliseconds }) {
    return new Promise((resolve) => {
      const finish = (reached) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(reached);
      };
      const check = () => {
        const value = this.get(name);
        if (value >= atLeast && value <= atMost) finish(true);
      };
      const timer = setTimeout(() => finish(false), milliseconds);
      this.#waiting.add(check);
      check();
    });
  }
}

/** Requests kept waiting until the test lets them go. `held` in the counts tells how many wait. */
export class Gate {
  #held = new Set();
  #counts;

  constructor(counts) {
    this.#counts = counts;
  }

  /** Resolves to true on release, to false when the client went away first. */
  hold(res) {
    return new Promise((resolve) => {
      const leave = (released) => {
        if (!this.#held.delete(leave)) return;
        this.#counts.add('held', -1);
        resolve(released);
      };
      this.#held.add(leave);
      this.#counts.add('held');
      res.on('close', () => leave(false));
    });
  }

  release(count = Infinity) {
    const going = [...this.#held].slice(0, count);
    for (const leave of going) leave(true);
    return going.length;
  }
}

/**
 * Starts the control side. `routes` maps `METHOD /path` to a function of (body, query) whose
 * result is the JSON answer. /counts, /log, /fault, /clear, /release and /wait are always there.
 */
export async function startControl({ counts, log, faults, gate, lasting = ['held'], routes }) {
  const always = {
    'GET /counts': () => counts.all(),
    'GET /log': () => log,
    'GET /fault': () => faults.left(),
    'POST /fault': (body) => {
      for (const fault of [body].flat()) faults.add(fault);
      return { faults: faults.left().length };
    },
    'POST /heal': () => {
      faults.clear();
      return { released: gate.release() };
    },
    'POST /release': (body) => ({ released: gate.release(body.count) }),
    'POST /clear': () => {
      faults.clear();
      counts.clear(lasting);
      log.length = 0;
      return {};
    },
    'GET /wait': async (_body, query) => ({
      reached: await counts.wait(query.get('count'), {
        atLeast: Number(query.get('at_least') ?? 0),
        atMost: Number(query.get('at_most') ?? Infinity),
        milliseconds: Number(query.get('timeout_ms') ?? 10_000),
      }),
      counts: counts.all(),
    }),
  };
  const table = { ...always, ...routes };
  const server = http.createServer(async (req, res) => {
    try {
      const { pathname, searchParams } = new URL(req.url, 'http://control');
      const route = table[`${req.method} ${pathname}`];
      if (!route) {
        sendJson(res, 404, { error: `no ${req.method} ${pathname}`, routes: Object.keys(table) });
        return;
      }
      const text = (await readBody(req)).toString();
      sendJson(res, 200, await route(text ? JSON.parse(text) : {}, searchParams));
    } catch (error) {
      sendJson(res, 400, { error: String(error?.stack ?? error) });
    }
  });
  server.keepAliveTimeout = 60_000;
  return listen(server);
}
