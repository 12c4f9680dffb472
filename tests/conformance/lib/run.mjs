// Runs one scenario of a suite in a process of its own and reads its checks.

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SUITES } from './suites.mjs';

const TIMEOUT = 60_000;

/** `{ passed, checks, said }`: checks by their id, each with its worst status and all of them. */
export async function run({ suite, role, scenario, revision }, args, allowed = {}) {
  const results = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const all = [SUITES[suite].program, role, '--scenario', scenario, '-o', results];
    all.push(...args);
    // The stable line knows one revision only, and takes its servers as they are.
    if (suite === 'current') {
      all.push('--timeout', String(TIMEOUT), '--spec-version', revision, '--force');
    }
    const { code, said } = await finished(spawn(process.execPath, all, { env: { ...process.env, ...allowed } }));
    const checks = await read(results);
    return { passed: code === 0, checks, said };
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}

async function finished(child) {
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, said };
}

const WORST = ['SKIPPED', 'INFO', 'SUCCESS', 'WARNING', 'FAILURE'];

async function read(results) {
  const checks = new Map();
  const files = await readdir(results, { recursive: true });
  for (const file of files.filter((file) => file.endsWith('checks.json'))) {
    for (const { id, status, errorMessage, description } of JSON.parse(
      await readFile(join(results, file), 'utf8'),
    )) {
      const before = checks.get(id);
      const worse = WORST.indexOf(status) > WORST.indexOf(before?.status);
      const now = worse ? { status, why: errorMessage ?? description } : before;
      checks.set(id, { ...now, all: [...(before?.all ?? []), status] });
    }
  }
  for (const check of checks.values()) check.all.sort();
  return checks;
}

/** Maps `items` with at most `width` at work. */
export async function spread(items, width, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}
