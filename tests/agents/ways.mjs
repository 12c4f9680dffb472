// The ways in which a program comes to its server: `run`, what `connect` wrote, `bridge`.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const run = (world, ...flags) => [world.doorward, '--state-dir', world.state, 'run', '-q', ...flags, '--'];

const connect = {
  prepare: (world, name, program, home) => {
    program.prepare(home);
    world.ask(['connect', name], home);
  },
  before: () => [],
  told: () => ({}),
  // The programs have written into their files since.
  check: (world, name, program, home) => {
    world.ask(['disconnect', name], home);
    const file = join(home, program.file);
    const left = existsSync(file) && readFileSync(file, 'utf8').includes('doorward');
    return left ? `${file} still names doorward` : null;
  },
};

/** By what `connect` wrote in a mode other than the usual one. */
const connected = (mode, before) => ({
  ...connect,
  prepare: (world, name, program, home) => {
    program.prepare(home);
    world.ask(['connect', name, '--mode', mode], home);
  },
  before,
  trials: ['a call', 'restart', 'revoke'],
});

/**
 * `prepare(world, program, home)` is done once, `check` after all prompts; `told(world)` is what the program
 * is told of the server by its arguments, `before(world)` what goes before its command. Of a way with
 * `trials` only those are tried, and of one with `programs` only with those.
 */
export const ways = {
  run: {
    prepare: () => {},
    before: (world) => run(world),
    told: (world) => ({ url: `${world.url}/u/ev` }),
    check: () => null,
  },
  connect,
  bridge: {
    prepare: () => {},
    before: () => [],
    told: (world) => ({ bridge: [world.doorward, '--state-dir', world.state, 'bridge', 'ev'] }),
    check: () => null,
  },
  'connect, env': connected('env', (world) => run(world, '--no-inject')),
  'connect, static': { ...connected('static', () => []), programs: ['claude', 'codex'] },
};
