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

/** `suite`: of the stable line, what the newer one demands for the revision that both know. */
export async function scenarios(role, { short, suite, only }) {
  const all = await every(role);
  const known = ({ revision, counts }) =>
    revision === '2025-03-26' || (revision === '2025-11-25' && counts === 'required');
  const of = suite === 'stable' ? all.filter(known).map((one) => ({ ...one, suite })) : all;
  const named = only.length > 0 ? of.filter(({ scenario }) => only.includes(scenario)) : of;
  const wanted = ({ scenario, revision }) =>
    SHORT[role].includes(scenario) &&
    // Once is enough: the newest revision that has it.
    !named.some((other) => other.scenario === scenario && other.revision > revision);
  return short ? named.filter(wanted) : named;
}

async function every(role) {
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
  return all;
}
