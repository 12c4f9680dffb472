// The server side: the suite against one server, bare and behind doorward. Every check must give
// the same result in both.
//
//   node server.mjs [--short] [--stable] [--table FILE] [SCENARIO…]

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { judge, keyOf } from './lib/baseline.mjs';
import { Daemon } from './lib/daemon.mjs';
import { Forwarder } from './lib/forwarder.mjs';
import { options } from './lib/options.mjs';
import { run, spread } from './lib/run.mjs';
import { scenarios } from './lib/scenarios.mjs';
import { HERE } from './lib/suites.mjs';
import { nameOf, replace, table as rows } from './lib/tables.mjs';

const asked = options(process.argv.slice(2));
const { table, only, width } = asked;
const all = await scenarios('server', asked);

const fixture = spawn(process.execPath, [join(HERE, 'fixture.mjs')], {
  stdio: ['pipe', 'pipe', 'ignore'],
});
const forwarder = await Forwarder.listen();
let daemon;
try {
  const ready = new Promise((resolve) => createInterface(fixture.stdout).once('line', resolve));
  const bare = JSON.parse(await ready).url;
  daemon = await Daemon.start(
    `[server]\npublic_base_url = "http://${forwarder.authority}"\n` +
      `[upstreams.up]\nurl = "${bare}"\nauth = { kind = "none" }\n`,
  );
  forwarder.target = daemon.url;
  forwarder.credential = await daemon.mint();
  const behind = `http://${forwarder.authority}/u/up`;
  const results = await spread(all, width, async (entry) => {
    const first = await run(entry, ['--url', bare]);
    const second = await run(entry, ['--url', behind]);
    const differences = compare(first.checks, second.checks);
    const passed = differences.length === 0 && first.passed === second.passed;
    const marks = { bare: count(first.checks), behind: count(second.checks) };
    console.log(`${passed ? 'same' : 'DIFFERS'}  ${keyOf(entry)}  ${marks.bare}, ${marks.behind}`);
    for (const line of differences) console.log(`        ${line}`);
    if (only.length > 0) console.log(first.said, second.said);
    return { ...entry, checks: second.checks, passed, marks };
  });
  // That it is refused is doorward's own doing: the server never sees a foreign name behind it.
  const rebinding = results.filter(({ scenario }) => scenario === 'dns-rebinding-protection');
  for (const one of rebinding) {
    const wrong = [...one.checks.values()].some(({ status }) => status === 'FAILURE');
    if (wrong) one.passed = false;
  }
  const word = ({ passed, marks }) => `${passed ? 'same' : 'differs'} (${marks.behind})`;
  if (table) await replace(table, nameOf('server', asked), rows(results, 'server', word));
  process.exitCode = await judge('server', results, asked);
} finally {
  await daemon?.stop();
  forwarder.stop();
  fixture.stdin.end();
}

function compare(first, second) {
  const ids = new Set([...first.keys(), ...second.keys()]);
  const told = (checks, id) => checks.get(id)?.all.join(' ') ?? 'not there';
  return [...ids]
    .filter((id) => told(first, id) !== told(second, id))
    .map((id) => `${id}: ${told(first, id)}, behind doorward ${told(second, id)}: ${second.get(id)?.why}`);
}

function count(checks) {
  const statuses = [...checks.values()].flatMap(({ all }) => all);
  const good = statuses.filter((status) => status === 'SUCCESS').length;
  const bad = statuses.filter((status) => status === 'FAILURE' || status === 'WARNING').length;
  return `${good}/${good + bad}`;
}
