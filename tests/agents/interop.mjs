// Drives real agent programs through doorward; see `run`.

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { dirname, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { model } from './model.mjs';
import { programs } from './programs.mjs';
import { trials } from './trials.mjs';
import { ways } from './ways.mjs';
import { World, child, end } from './world.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const [doorward, ...asked] = process.argv.slice(2);
const PATIENCE = 240_000;

/** Where a program is, if it is there. */
function find(name) {
  const folders = [
    ...(process.env.DOORWARD_AGENTS ? [join(process.env.DOORWARD_AGENTS, 'node_modules/.bin')] : []),
    join(here, 'node_modules/.bin'),
    ...process.env.PATH.split(delimiter),
  ];
  return folders.map((folder) => join(folder, name)).find((path) => {
    try { accessSync(path, constants.X_OK); return true; } catch { return false; }
  });
}

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

/** A row of the table: one program by one way. */
async function row(world, name, path, title, by, chosen) {
  const way = ways[by];
  const home = world.homeOf(`${name}-${by}`);
  way.prepare(world, name, programs[name], home);
  const cells = { agent: title, by };
  let configured = '';
  for (const [trial, { sessions = '', run }] of Object.entries(trials)) {
    if (chosen.length && !chosen.includes(trial)) continue;
    if (sessions !== configured) await world.configure(sessions);
    configured = sessions;
    const go = (script) => prompt(world, name, path, way, home, script);
    const saw = await run(go, world).catch((error) => ({ wrote: String(error.stack ?? error) }));
    cells[trial] = typeof saw === 'string' ? saw : 'FAILED';
    console.log(`${title} by ${by}: ${trial}: ${cells[trial]}`);
    if (typeof saw !== 'string') {
      console.log(JSON.stringify({ ...saw, wrote: saw.wrote?.slice(-2000) }, null, 1));
      console.log(world.log.slice(-4000));
    }
  }
  if (configured) await world.configure('');
  const wrong = way.check(world, name, programs[name], home);
  if (wrong) {
    cells.by = 'FAILED';
    console.log(`${title} by ${by}: ${wrong}`);
  }
  return cells;
}

/** As the README has it. */
function table(rows) {
  const columns = [...new Set(rows.flatMap((cells) => Object.keys(cells)))];
  const lines = [columns, columns.map(() => '---'), ...rows.map((cells) => columns.map((column) => cells[column] ?? ''))];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** `agent:way:trial` limits what is done to that; the last parts may be left out. */
async function main() {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => { end(); process.exit(1); });
  }
  const wishes = asked.map((wish) => wish.split(':'));
  const wanted = (...parts) => !wishes.length || wishes.some((wish) => (
    parts.every((part, n) => !wish[n] || wish[n] === part)
  ));
  const rows = [];
  const world = await World.begin(doorward);
  try {
    for (const name of Object.keys(programs).filter((it) => wanted(it))) {
      const path = find(name);
      if (!path) {
        console.log(`${name}: skipped, it is not installed (tests/agents/run --install, or put it on PATH)`);
        continue;
      }
      const ran = spawnSync(path, ['--version'], { env: world.environment(world.home), encoding: 'utf8' });
      const version = /\d+\.\d+\.\d+/.exec(ran.stdout ?? '')?.[0] ?? '?';
      for (const by of Object.keys(ways).filter((it) => wanted(name, it))) {
        const chosen = Object.keys(trials).filter((it) => wanted(name, by, it));
        rows.push(await row(world, name, path, `${programs[name].title} ${version}`, by, chosen));
      }
    }
  } finally {
    world.end();
  }
  console.log(`\n${table(rows)}`);
  process.exit(rows.some((cells) => Object.values(cells).includes('FAILED')) ? 1 : 0);
}

await main();
