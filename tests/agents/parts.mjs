// The real parts around the agent programs, the programs themselves, and the person who signs in.

import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const children = new Set();

export const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export function child(command, args, options) {
  const started = spawn(command, args, options);
  children.add(started);
  started.once('exit', () => children.delete(started));
  return started;
}

/** Ends what was started and still runs. */
export function endAll() {
  for (const one of children) one.kill('SIGKILL');
}

/** Ends one of them, and waits for that. */
export function end(one) {
  if (!children.has(one)) return Promise.resolve();
  const over = new Promise((resolve) => { one.once('exit', resolve); });
  one.kill('SIGKILL');
  return over;
}

/** The first line of output that passes `is`. */
export function line(stream, what, is = () => true) {
  return new Promise((resolve, reject) => {
    const lines = readline.createInterface({ input: stream });
    let said = '';
    lines.on('line', (text) => { said += `${text}\n`; if (is(text)) resolve(text); });
    lines.on('close', () => reject(new Error(`${what} ended: ${said}`)));
  });
}

export async function part(name, config) {
  const file = join(here, '../parts', name);
  const server = child('node', [file, JSON.stringify(config)], { stdio: ['pipe', 'pipe', 'inherit'] });
  return { ...JSON.parse(await line(server.stdout, name)), server };
}

/** A word to the control side of a part. */
export const tell = (part, path, body = {}) => fetch(`${part.control}${path}`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
}).then((answer) => answer.json());

/** Signs in at `it`, a world, as a person would, whose browser is four requests. */
export async function signIn(it) {
  const words = ['login', 'ev', '--no-browser', '--force'];
  const login = child(it.doorward, words, { env: it.environment, stdio: ['ignore', 'ignore', 'pipe'] });
  const over = new Promise((resolve) => { login.once('exit', resolve); });
  const link = (await line(login.stderr, 'the sign-in', (text) => text.includes('/login/ev?t='))).trim();
  const page = await fetch(link, { redirect: 'manual' });
  const cookie = page.headers.get('set-cookie').split(';')[0];
  const walked = await tell(it.authority, '/sign-in', { url: page.headers.get('location'), deliver: false });
  await fetch(walked.location, { headers: { cookie } });
  if (await over !== 0) throw new Error('the sign-in failed');
}

/** Where a program is, if it is there. */
export function find(name) {
  const folders = [
    ...(process.env.DOORWARD_AGENTS ? [join(process.env.DOORWARD_AGENTS, 'node_modules/.bin')] : []),
    join(here, 'node_modules/.bin'),
    ...process.env.PATH.split(delimiter),
  ];
  return folders.map((folder) => join(folder, name)).find((path) => {
    try { accessSync(path, constants.X_OK); return true; } catch { return false; }
  });
}

/** What a program says its version is. */
export function version(path, environment) {
  const said = spawnSync(path, ['--version'], { env: environment, encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(said.stdout ?? '')?.[0] ?? '?';
}
