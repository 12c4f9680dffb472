// The suites that package.json pins.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(HERE, 'node_modules');

function suite(folder) {
  return { folder, program: join(folder, 'dist', 'index.js') };
}

export const SUITES = {
  current: suite(join(modules, '@modelcontextprotocol', 'conformance')),
  stable: suite(join(modules, 'conformance-stable')),
};
