// A real authorization server, a real MCP server, a daemon that is signed in, and homes for agents.

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const children = new Set();

export function child(command, args, options) {
  const started = spawn(command, args, options);
  children.add(started);
  started.once('exit', () => children.delete(started));
  return started;
}

export function end() {
  for (const one of children) one.kill('SIGKILL');
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

const tell = (server, path, body) => fetch(`${server.control}${path}`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
}).then((answer) => answer.json());

/** A daemon of its own, signed in at a real server. */
export class World {
  static async begin(doorward) {
    const it = new World();
    it.doorward = doorward;
    it.folder = mkdtempSync(join(tmpdir(), 'doorward-agents-'));
    it.state = join(it.folder, 'state');
    mkdirSync(it.state, { mode: 0o700 });
    it.authority = await part('authorization_server.mjs', {});
    it.upstream = await part('resource_server.mjs', {
      issuer: it.authority.url, check: it.authority.control,
    });
    it.port = 0;
    it.home = it.homeOf('nobody');
    await it.configure('');
    it.ask(['upstream', 'add', 'ev', it.upstream.url]);
    await it.tokensOf(3600);
    return it;
  }

  /** A home directory that nobody else uses. */
  homeOf(name) {
    const home = join(this.folder, name);
    mkdirSync(join(home, 'work'), { recursive: true });
    return home;
  }

  environment(home) {
    return { HOME: home, PATH: process.env.PATH, TERM: 'dumb', NO_COLOR: '1' };
  }

  /** A command of doorward's that has to succeed; its document, if it wrote one. */
  ask(words, home = this.home) {
    const all = ['--state-dir', this.state, ...words, '--json', '-y'];
    const ran = spawnSync(this.doorward, all, { env: this.environment(home), encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(`${words.join(' ')}: ${ran.stdout}${ran.stderr}`);
    return ran.stdout.startsWith('{') ? JSON.parse(ran.stdout) : null;
  }

  async serve() {
    const words = ['--state-dir', this.state, 'serve', '--log-format', 'json', '--port', String(this.port)];
    this.daemon = child(this.doorward, words, {
      env: this.environment(this.home), stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.log = '';
    this.daemon.stderr.on('data', (data) => { this.log += data; });
    await line(this.daemon.stderr, 'the daemon', (text) => text.includes('"listening"'));
    this.url = this.ask(['status']).daemon.base_url;
    this.port = Number(new URL(this.url).port);
  }

  kill() {
    return new Promise((resolve) => {
      this.daemon.once('exit', resolve);
      this.daemon.kill('SIGKILL');
    });
  }

  async restart() {
    if (this.daemon) await this.kill();
    await this.serve();
  }

  /** The daemon anew, with these lines about sessions. */
  async configure(sessions) {
    const upstream = this.url
      ? `[upstreams.ev]\nurl = ${JSON.stringify(this.upstream.url)}\n` : '';
    const text = `[store]\nkind = "file"\n[sessions]\n${sessions}\n${upstream}`;
    writeFileSync(join(this.state, 'config.toml'), text);
    await this.restart();
  }

  /** Signs in as a person would, whose browser is four requests; tokens live so many seconds. */
  async tokensOf(seconds) {
    await tell(this.authority, '/mode', { access_token_ttl: seconds });
    const words = ['--state-dir', this.state, 'login', 'ev', '--no-browser', '--force'];
    const login = child(this.doorward, words, {
      env: this.environment(this.home), stdio: ['ignore', 'ignore', 'pipe'],
    });
    const over = new Promise((resolve) => { login.once('exit', resolve); });
    const link = (await line(login.stderr, 'the sign-in', (text) => text.includes('/login/ev?t='))).trim();
    const page = await fetch(link, { redirect: 'manual' });
    const cookie = page.headers.get('set-cookie').split(';')[0];
    const location = page.headers.get('location');
    const walked = await tell(this.authority, '/sign-in', { url: location, deliver: false });
    await fetch(walked.location, { headers: { cookie } });
    if (await over !== 0) throw new Error('the sign-in failed');
  }

  end() {
    end();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
