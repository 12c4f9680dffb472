// A throw-away doorward: the built program with a state directory of its own.

import { spawn } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PROGRAM = process.env.DOORWARD_BIN;

export class Daemon {
  /** `config` is TOML; `variables` are for the daemon alone, such as a client secret. */
  static async start(config, variables = {}) {
    if (!PROGRAM) throw new Error('DOORWARD_BIN does not say where doorward is');
    const daemon = new Daemon();
    daemon.home = await mkdtemp(join(tmpdir(), 'doorward-conformance-'));
    const state = join(daemon.home, 'state');
    await mkdir(state, { mode: 0o700 });
    await writeFile(join(state, 'config.toml'), `[store]\nkind = "file"\n${config}`);
    daemon.child = daemon.#spawn(['serve', '--ready-fd', '1', '--port', '0'], variables);
    daemon.log = '';
    daemon.child.stderr.on('data', (data) => (daemon.log += data));
    const ended = new Promise((resolve) => daemon.child.once('exit', resolve));
    daemon.ended = ended;
    const line = await Promise.race([
      new Promise((resolve) => createInterface(daemon.child.stdout).once('line', resolve)),
      ended.then((code) => {
        throw new Error(`doorward did not start: exit code ${code}\n${daemon.log}`);
      }),
    ]);
    daemon.url = JSON.parse(line).url;
    return daemon;
  }

  #spawn(args, variables = {}) {
    const state = join(this.home, 'state');
    const { PATH } = process.env;
    return spawn(PROGRAM, ['--state-dir', state, ...args], {
      env: { PATH, HOME: this.home, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** A command; its lines on standard error go to `said` as they come. */
  async run(args, said = () => {}) {
    const child = this.#spawn(args);
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => (out += data));
    createInterface(child.stderr).on('line', (line) => {
      err += `${line}\n`;
      said(line);
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    return { code, out, err };
  }

  /** A credential for a session of its own. */
  async mint() {
    const { code, out, err } = await this.run(['session', 'mint', '-o', 'json', '-y']);
    if (code !== 0) throw new Error(`no session: ${err}`);
    return JSON.parse(out).credential;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.ended;
    await rm(this.home, { recursive: true, force: true });
  }
}
