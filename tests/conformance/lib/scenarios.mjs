// Which scenarios are run, and as which revision: the requirement sets of the suite, what it runs
// beside them without counting it, and the fallbacks of 2025-03-26, which are in no set.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';

import { SUITES } from './suites.mjs';

export const REVISIONS = ['2025-11-25', '2026-07-28'];

const LEGACY = [
  'auth/2025-03-26-oauth-metadata-backcompat',
  'auth/2025-03-26-oauth-endpoint-fallback',
];

/** One of each thing that can break, for runs that must be quick. */
const SHORT = {
  client: [
    'tools_call',
    'auth/metadata-var3',
    'auth/basic-cimd',
    'auth/scope-step-up',
    'auth/token-endpoint-auth-basic',
    'auth/resource-mismatch',
    'auth/authorization-server-migration',
    'auth/iss-wrong-issuer',
    'auth/2025-03-26-oauth-endpoint-fallback',
  ],
  server: ['dns-rebinding-protection', 'tools-call-with-progress', 'server-sse-multiple-streams'],
};

export async function scenarios(role, short) {
  const all = [];
  for (const revision of REVISIONS) {
    const file = join(SUITES.current.folder, 'requirements', `${revision}.yaml`);
    const set = parse(await readFile(file, 'utf8'));
    const required = set[role].map((scenario) => ({ scenario, counts: 'required' }));
    const beside = set.not_scored
      .filter(({ leg }) => leg === role)
      .map(({ scenario, reason }) => ({ scenario, counts: reason }));
    for (const entry of [...required, ...beside]) {
      all.push({ ...entry, role, revision, suite: 'current' });
    }
  }
  if (role === 'client') {
    for (const scenario of LEGACY) {
      all.push({ scenario, role, counts: 'fallback', revision: '2025-03-26', suite: 'current' });
    }
  }
  const wanted = ({ scenario, revision }) =>
    SHORT[role].includes(scenario) &&
    // Once is enough: the newest revision that has it.
    !all.some((other) => other.scenario === scenario && other.revision > revision);
  return short ? all.filter(wanted) : all;
}
