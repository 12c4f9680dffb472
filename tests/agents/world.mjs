// A real authorization server, a real MCP server, a daemon that is signed in, and homes for agents.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { child, end, line, part, signIn, tell } from './parts.mjs';

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

  async restart() {
    if (this.daemon) await end(this.daemon);
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

  /** A sign-in whose tokens live so many seconds. */
  async tokensOf(seconds) {
    await tell(this.authority, '/mode', { access_token_ttl: seconds });
    const environment = { ...this.environment(this.home), DOORWARD_STATE_DIR: this.state };
    await signIn({ doorward: this.doorward, authority: this.authority, environment });
  }

  async end() {
    for (const one of [this.daemon, this.upstream?.server, this.authority?.server]) {
      if (one) await end(one);
    }
    // One that a bridge has started.
    spawnSync(this.doorward, ['--state-dir', this.state, 'down', '-y'], { env: this.environment(this.home) });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
