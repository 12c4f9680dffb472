// Drives real agent programs through doorward; see `run`.

import { arch, cpus, release, type } from 'node:os';
import { join } from 'node:path';

import { model } from './model.mjs';
import { child, endAll, find, version } from './parts.mjs';
import { programs } from './programs.mjs';
import { trials } from './trials.mjs';
import { ways } from './ways.mjs';
import { World } from './world.mjs';

const [doorward, ...asked] = process.argv.slice(2);
const PATIENCE = 240_000;
/** So many rows of the table at the same time: most of a row is waiting. */
const LANES = Number(process.env.LANES ?? 3);

/** One prompt. Gives what the model saw and what the program wrote. */
async function prompt(world, name, path, way, home, { calls, before }) {
  const standin = await model({ calls, before });
  const started = programs[name].start({
    home, model: standin.url, prompt: 'Use the tool echo.', ...way.told(world),
  });
  const [program, ...words] = [...way.before(world), path, ...started.arguments];
  const agent = child(program, words, {
    cwd: join(home, 'work'), env: { ...world.environment(home), ...started.variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let wrote = '';
  for (const stream of [agent.stdout, agent.stderr]) stream.on('data', (data) => { wrote += data; });
  const timer = setTimeout(() => agent.kill('SIGKILL'), PATIENCE);
  const code = await new Promise((resolve) => { agent.once('close', resolve); });
  clearTimeout(timer);
  standin.close();
  return { ...standin.seen(), code, wrote };
}

/** A row of the table: one program by one way, in a world of its own. */
async function row(name, path, title, by, chosen) {
  const way = ways[by];
  const cells = { agent: title, by };
  const world = await World.begin(doorward);
  try {
    const home = world.homeOf(name);
    way.prepare(world, name, programs[name], home);
    let configured = '';
    for (const trial of chosen) {
      const { sessions = '', run } = trials[trial];
      if (sessions !== configured) await world.configure(sessions);
      configured = sessions;
      const go = (script) => prompt(world, name, path, way, home, script);
      const saw = await run(go, world).catch((error) => ({ wrote: String(error.stack ?? error) }));
      cells[trial] = typeof saw === 'string' ? saw : 'FAILED';
      const lines = [`${title} by ${by}: ${trial}: ${cells[trial]}`];
      if (typeof saw !== 'string') {
        lines.push(JSON.stringify({ ...saw, wrote: saw.wrote?.slice(-2000) }, null, 1), world.log.slice(-4000));
      }
      console.log(lines.join('\n'));
    }
    if (configured) await world.configure('');
    const wrong = way.check(world, name, programs[name], home);
    if (wrong) {
      cells.by = 'FAILED';
      console.log(`${title} by ${by}: ${wrong}`);
    }
  } finally {
    await world.end();
  }
  return cells;
}

/** As the README has it. */
function table(rows) {
  const columns = ['agent', 'by', ...Object.keys(trials).filter((trial) => rows.some((cells) => cells[trial]))];
  const lines = [columns, columns.map(() => '---'), ...rows.map((cells) => columns.map((column) => cells[column] ?? ''))];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The rows that were asked for: all, or those of `agent:way:trial`, whose last parts may be left out. */
function wanted() {
  const wishes = asked.map((wish) => wish.split(':'));
  const is = (...parts) => !wishes.length || wishes.some((wish) => (
    parts.every((part, n) => !wish[n] || wish[n] === part)
  ));
  const rows = [];
  for (const name of Object.keys(programs).filter((it) => is(it))) {
    const path = find(name);
    if (!path) {
      console.log(`${name}: skipped, it is not installed (tests/agents/run --install, or put it on PATH)`);
      continue;
    }
    const title = `${programs[name].title} ${version(path, process.env)}`;
    for (const [by, way] of Object.entries(ways)) {
      const all = way.trials ?? Object.keys(trials);
      const chosen = all.filter((trial) => is(name, by, trial));
      const fits = way.programs?.includes(name) ?? true;
      if (fits && chosen.length) rows.push([name, path, title, by, chosen]);
    }
  }
  return rows;
}

async function main() {
  const since = Date.now();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => { endAll(); process.exit(1); });
  }
  const rows = wanted();
  const done = [];
  // The longest first, and different programs side by side.
  const order = [...rows.keys()].sort((a, b) => (
    rows[b][4].length - rows[a][4].length || Object.keys(ways).indexOf(rows[a][3]) - Object.keys(ways).indexOf(rows[b][3])
  ));
  const lane = async () => {
    for (let at = order.shift(); at !== undefined; at = order.shift()) {
      const [, , agent, by] = rows[at];
      done[at] = await row(...rows[at]).catch((error) => {
        console.log(`${agent} by ${by}: ${error.stack ?? error}`);
        return { agent, by: 'FAILED' };
      });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  endAll();
  const seconds = Math.round((Date.now() - since) / 1000);
  const place = `${version(doorward, process.env)} on ${type()} ${release()} ${arch()}, ${cpus().length} cores`;
  console.log(`\n${table(done)}\n\ndoorward ${place}, Node ${process.version}; ${new Date().toISOString().slice(0, 10)}, `
    + `in ${Math.floor(seconds / 60)} min ${seconds % 60} s`);
  process.exit(done.some((cells) => Object.values(cells).includes('FAILED')) ? 1 : 0);
}

await main();
