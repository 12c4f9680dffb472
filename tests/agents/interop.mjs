// Drives real agent programs through doorward; see `run`.

import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

import { model } from './model.mjs';
import { programs } from './programs.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const [doorward, ...asked] = process.argv.slice(2);
const PATIENCE = 240_000;
const children = new Set();

function child(command, args, options) {
  const started = spawn(command, args, options);
  children.add(started);
  started.once('exit', () => children.delete(started));
  return started;
}

/** The first line of output that passes `is`. */
function line(stream, what, is = () => true) {
  return new Promise((resolve, reject) => {
    const lines = readline.createInterface({ input: stream });
    let said = '';
    lines.on('line', (text) => { said += `${text}\n`; if (is(text)) resolve(text); });
    lines.on('close', () => reject(new Error(`${what} ended: ${said}`)));
  });
}

async function part(name, config) {
  const file = join(here, '../parts', name);
  const server = child('node', [file, JSON.stringify(config)], { stdio: ['pipe', 'pipe', 'inherit'] });
  return JSON.parse(await line(server.stdout, name));
}

const tell = (part, path, body) => fetch(`${part.control}${path}`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
}).then((answer) => answer.json());

/** A daemon of its own, signed in at a real server. */
async function world() {
  const home = mkdtempSync(join(tmpdir(), 'doorward-agents-'));
  const state = join(home, 'state');
  mkdirSync(state, { mode: 0o700 });
  const authority = await part('authorization_server.mjs', {});
  const upstream = await part('resource_server.mjs', { issuer: authority.url, check: authority.control });
  const environment = {
    HOME: home, PATH: process.env.PATH, TERM: 'dumb', NO_COLOR: '1', DOORWARD_STATE_DIR: state,
  };
  writeFileSync(join(state, 'config.toml'), '[store]\nkind = "file"\n');
  const it = { home, authority, upstream, environment, port: 0 };
  it.ask = (...words) => {
    const ran = spawnSync(doorward, [...words, '--json', '-y'], { env: environment, encoding: 'utf8' });
    if (ran.status !== 0 && words[0] !== 'down') throw new Error(`${words.join(' ')}: ${ran.stdout}${ran.stderr}`);
    return ran.stdout.startsWith('{') ? JSON.parse(ran.stdout) : null;
  };
  it.serve = async () => {
    const words = ['serve', '--log-format', 'json', '--port', String(it.port)];
    it.daemon = child(doorward, words, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    await line(it.daemon.stderr, 'the daemon', (text) => text.includes('"listening"'));
    it.url = it.ask('status').daemon.base_url;
    it.port = Number(new URL(it.url).port);
  };
  it.kill = () => new Promise((resolve) => {
    it.daemon.once('exit', resolve);
    it.daemon.kill('SIGKILL');
  });
  await it.serve();
  it.ask('upstream', 'add', 'ev', upstream.url);
  await signIn(it);
  return it;
}

/** Signs in as a person would, whose browser is four requests. */
async function signIn(it) {
  const words = ['login', 'ev', '--no-browser', '--force'];
  const login = child(doorward, words, { env: it.environment, stdio: ['ignore', 'ignore', 'pipe'] });
  const over = new Promise((resolve) => { login.once('exit', resolve); });
  const link = (await line(login.stderr, 'the sign-in', (text) => text.includes('/login/ev?t='))).trim();
  const page = await fetch(link, { redirect: 'manual' });
  const cookie = page.headers.get('set-cookie').split(';')[0];
  const walked = await tell(it.authority, '/sign-in', { url: page.headers.get('location'), deliver: false });
  await fetch(walked.location, { headers: { cookie } });
  if (await over !== 0) throw new Error('the sign-in failed');
}

/** Where a program is, if it is there. */
function find(name) {
  const folders = [
    ...(process.env.DOORWARD_AGENTS ? [join(process.env.DOORWARD_AGENTS, 'node_modules/.bin')] : []),
    join(here, 'node_modules/.bin'),
    ...process.env.PATH.split(delimiter),
  ];
  return folders.map((folder) => join(folder, name)).find((path) => {
    try { accessSync(path, constants.X_OK); return true; } catch { return false; }
  });
}

/** One prompt. `by`: run or bridge. Gives what the model saw and what the program wrote. */
async function prompt(it, name, path, by, { calls, before }) {
  const standin = await model({ calls, before });
  const bridge = by === 'bridge' ? [doorward, 'bridge', 'ev', '--state-dir', join(it.home, 'state')] : null;
  const work = join(it.home, 'work');
  mkdirSync(work, { recursive: true });
  const started = programs[name].start({
    home: it.home, model: standin.url, prompt: 'Use the tool echo.', bridge, url: `${it.url}/u/ev`,
  });
  const command = bridge ? [path] : [doorward, 'run', '-q', '--', path];
  const [program, ...words] = [...command, ...started.arguments];
  const agent = child(program, words, {
    cwd: work, env: { ...it.environment, ...started.variables }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let wrote = '';
  for (const stream of [agent.stdout, agent.stderr]) stream.on('data', (data) => { wrote += data; });
  const timer = setTimeout(() => agent.kill('SIGKILL'), PATIENCE);
  const code = await new Promise((resolve) => { agent.once('close', resolve); });
  clearTimeout(timer);
  standin.close();
  return { ...standin.seen(), code, wrote };
}

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/**
 * What is tried with each program and each way: `null` where it went well, a text where it went as well as
 * the program lets it, else what was seen.
 */
const trials = {
  'a call': async (go) => {
    const seen = await go({ calls: 1 });
    return seen.results[0]?.includes('Echo: hello 0') ? null : seen;
  },
  'tokens of 3 s': async (go, it) => {
    await tell(it.authority, '/mode', { access_token_ttl: 3 });
    await signIn(it);
    const seen = await go({ calls: 4, before: (n) => (n ? wait(4000) : undefined) });
    await tell(it.authority, '/mode', { access_token_ttl: 3600 });
    await signIn(it);
    return [0, 1, 2, 3].every((n) => seen.results[n]?.includes(`Echo: hello ${n}`)) ? null : seen;
  },
  'a restart': async (go, it) => {
    const restart = async (n) => { if (n === 1) { await it.kill(); await it.serve(); } };
    const seen = await go({ calls: 3, before: restart });
    return [0, 1, 2].every((n) => seen.results[n]?.includes(`Echo: hello ${n}`)) ? null : seen;
  },
  'a revoke': async (go, it) => {
    const revoke = (n) => { if (n === 1) it.ask('ctl', 'revoke', '--all', '--reason', 'the test is over'); };
    const seen = await go({ calls: 2, before: revoke });
    if (!seen.results[0]?.includes('Echo: hello 0') || seen.results[1]?.includes('Echo: hello 1')) return seen;
    // Some programs have a sentence of their own for a 401, and drop ours.
    const told = /revoked|the test is over/.test(seen.results[1] ?? seen.wrote);
    return told ? null : 'stopped, in the words of the program';
  },
};

async function main() {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      for (const one of children) one.kill('SIGKILL');
      process.exit(1);
    });
  }
  const names = asked.length ? asked : Object.keys(programs);
  const rows = [];
  const it = await world();
  try {
    for (const name of names) {
      const path = find(name);
      if (!path) {
        console.log(`${name}: skipped, it is not installed (tests/agents/run --install, or put it on PATH)`);
        continue;
      }
      const version = spawnSync(path, ['--version'], { env: it.environment, encoding: 'utf8' });
      const shown = /\d+\.\d+\.\d+/.exec(version.stdout ?? '')?.[0] ?? '?';
      for (const by of ['run', 'bridge']) {
        const row = { agent: `${name} ${shown}`, by };
        for (const [trial, run] of Object.entries(trials)) {
          const go = (script) => prompt(it, name, path, by, script);
          const wrong = await run(go, it).catch((error) => ({ wrote: String(error.stack ?? error) }));
          row[trial] = typeof wrong === 'string' ? wrong : wrong ? 'FAILED' : 'works';
          console.log(`${row.agent} by ${by}: ${trial}: ${row[trial]}`);
          if (row[trial] === 'FAILED') console.log(JSON.stringify({ ...wrong, wrote: wrong.wrote.slice(-2000) }, null, 1));
        }
        rows.push(row);
      }
    }
  } finally {
    for (const one of children) one.kill('SIGKILL');
    it.ask('down');
    rmSync(it.home, { recursive: true, force: true, maxRetries: 3 });
  }
  console.table(rows);
  process.exit(rows.some((row) => Object.values(row).includes('FAILED')) ? 1 : 0);
}

await main();
