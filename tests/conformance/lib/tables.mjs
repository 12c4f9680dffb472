// The tables of docs/conformance.md, between two comments that name them.

import { readFile, writeFile } from 'node:fs/promises';

import { baseline, keyOf } from './baseline.mjs';

/** What the table of a role is called: the stable line has tables of its own. */
export const nameOf = (role, { suite }) => (suite === 'stable' ? `${role}, stable line` : role);

export function clientTable(results) {
  return table(results, 'client', ({ passed }) => (passed ? 'pass' : 'fail'));
}

export async function table(results, role, word) {
  const expected = await baseline(role);
  const revisions = [...new Set(results.map(({ revision }) => revision))].sort();
  const names = [...new Set(results.map(({ scenario }) => scenario))];
  const lines = [
    `| scenario | counted as | ${revisions.join(' | ')} | |`,
    `|---|---|${revisions.map(() => '---|').join('')}---|`,
  ];
  for (const name of names) {
    const of = results.filter(({ scenario }) => scenario === name);
    const cells = revisions.map((revision) => {
      const one = of.find((result) => result.revision === revision);
      return one ? word(one) : '';
    });
    const counts = [...new Set(of.map(({ counts }) => counts))].join(', ');
    const reasons = [...new Set(of.map((one) => expected.get(keyOf(one))).filter(Boolean))];
    lines.push(`| ${name} | ${counts} | ${cells.join(' | ')} | ${reasons.join('; ')} |`);
  }
  return lines.join('\n');
}

export async function replace(file, name, content) {
  const text = await readFile(file, 'utf8');
  const [open, close] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [before, rest] = text.split(open);
  const after = rest?.split(close)[1];
  if (after === undefined) throw new Error(`${file} has no place for the table "${name}"`);
  await writeFile(file, `${before}${open}\n${await content}\n${close}${after}`);
}
