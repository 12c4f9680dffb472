// The three ways in which a program comes to its server: `run`, what `connect` wrote, `bridge`.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `prepare(world, program, home)` is done once, `check` after all prompts; `told(world)` is what the program
 * is told of the server by its arguments, `before(world)` what goes before its command.
 */
export const ways = {
  run: {
    prepare: () => {},
    before: (world) => [world.doorward, '--state-dir', world.state, 'run', '-q', '--'],
    told: (world) => ({ url: `${world.url}/u/ev` }),
    check: () => null,
  },
  connect: {
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
  },
  bridge: {
    prepare: () => {},
    before: () => [],
    told: (world) => ({ bridge: [world.doorward, '--state-dir', world.state, 'bridge', 'ev'] }),
    check: () => null,
  },
};
