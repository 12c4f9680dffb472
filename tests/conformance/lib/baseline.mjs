// What is expected to fail, each with its reason: baseline.txt. An entry that passes fails the
// run, so that the file never says more than is true.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { HERE } from './suites.mjs';

/** Lines of a role: `ROLE SUITE REVISION SCENARIO  reason`. */
export async function baseline(role) {
  const text = await readFile(join(HERE, 'baseline.txt'), 'utf8');
  const entries = new Map();
  for (const line of text.split('\n')) {
    if (!line.trim() || line.startsWith('#')) continue;
    const [whose, suite, revision, scenario, ...reason] = line.split(/\s+/);
    if (reason.length === 0) throw new Error(`baseline.txt: no reason: ${line}`);
    const key = `${suite} ${revision} ${scenario}`;
    if (whose === role) entries.set(key, reason.join(' '));
  }
  return entries;
}

export const keyOf = ({ suite, revision, scenario }) => `${suite} ${revision} ${scenario}`;

/** The checks of a result that are not as they should be. */
export function failures({ checks }) {
  const wrong = [...checks].filter(([, { status }]) => ['FAILURE', 'WARNING'].includes(status));
  return wrong.map(([id, { status, why }]) => `${id} ${status.toLowerCase()}: ${why}`);
}

export function verdict(result) {
  const head = `${result.passed ? 'pass' : 'FAIL'}  ${keyOf(result)}`;
  return [head, ...failures(result).map((line) => `        ${line}`)].join('\n');
}

/** The exit code of a run. */
export async function judge(role, results, { short, suite, only }) {
  const whole = only.length === 0 && !short;
  const expected = await baseline(role);
  const unexpected = results.filter((one) => !one.passed && !expected.has(keyOf(one)));
  const stale = results.filter((one) => one.passed && expected.has(keyOf(one)));
  const seen = new Set(results.map(keyOf));
  const unknown = whole ? [...expected.keys()].filter((key) => key.startsWith(suite) && !seen.has(key)) : [];
  const passed = results.filter(({ passed }) => passed).length;
  console.log(`\n${passed} of ${results.length} scenarios pass`);
  for (const one of unexpected) console.log(`fails, and is not expected to: ${keyOf(one)}`);
  for (const one of stale) console.log(`passes, and stands in baseline.txt: ${keyOf(one)}`);
  for (const key of unknown) console.log(`stands in baseline.txt, and is no scenario: ${key}`);
  return unexpected.length + stale.length + unknown.length > 0 ? 1 : 0;
}
