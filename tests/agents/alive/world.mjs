// A daemon of its own before real servers, for which nobody has signed in.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { child, end, line, part } from '../parts.mjs';

/** A daemon with the upstream `ev`, for which nobody has signed in. `settings`: TOML. */
export async function world(doorward, settings = '') {
  const home = mkdtempSync(join(tmpdir(), 'doorward-agents-'));
  const state = join(home, 'state');
  mkdirSync(state, { mode: 0o700 });
  const authority = await part('authorization_server.mjs', {});
  const guard = { issuer: authority.url, check: authority.control };
  const upstream = await part('resource_server.mjs', guard);
  const environment = {
    HOME: home, PATH: process.env.PATH, TERM: 'dumb', NO_COLOR: '1', DOORWARD_STATE_DIR: state,
  };
  writeFileSync(join(state, 'config.toml'), `${settings}\n[store]\nkind = "file"\n`);
  const it = { doorward, home, state, authority, upstream, environment, port: 0 };
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
  it.restart = async () => { await end(it.daemon); await it.serve(); };
  it.restartUpstream = async () => {
    await end(it.upstream.server);
    const port = Number(new URL(it.upstream.url).port);
    it.upstream = await part('resource_server.mjs', { ...guard, port });
  };
  it.close = async () => {
    for (const one of [it.daemon, it.upstream.server, authority.server]) await end(one);
    it.ask('down');
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  await it.serve();
  it.ask('upstream', 'add', 'ev', upstream.url);
  return it;
}
