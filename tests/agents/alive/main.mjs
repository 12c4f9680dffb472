// Real agent programs while their server, the sign-in and the daemon come and go; see ../run.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { model } from '../model.mjs';
import { programs } from '../programs.mjs';
import { child, endAll, find, version, wait } from '../parts.mjs';
import { world } from './world.mjs';
import { browsers, diverted, isProbe, recorder } from './recorder.mjs';
import { situations } from './situations.mjs';

const PAGE = fileURLToPath(new URL('../../../docs/agents.md', import.meta.url));
const PATIENCE = 240_000;
/** The columns of what must not happen. */
const PROBES = 'OAuth probes';
const BROWSERS = 'browsers opened';

const { values: options, positionals: [doorward, ...asked] } = parseArgs({
  allowPositionals: true,
  options: {
    table: { type: 'boolean', default: false },
    by: { type: 'string', multiple: true, default: ['run', 'bridge'] },
    only: { type: 'string', multiple: true, default: Object.keys(situations) },
    verbose: { type: 'boolean', default: false },
  },
});

/** Starts the program for one prompt and lets the situation befall it. */
async function watch(it, name, path, by, situation) {
  const standin = await model({
    calls: situation.expected.length, before: (n) => situation.before(n, it),
  });
  const between = await recorder(() => it.url);
  const browser = browsers(it.home);
  const work = join(it.home, 'work');
  mkdirSync(work);
  programs[name].prepare?.(it.home);
  const bridge = by === 'bridge' ? [doorward, 'bridge', 'ev', '--state-dir', it.state] : null;
  const started = programs[name].start({
    home: it.home, model: standin.url, prompt: 'Use the tool echo.', bridge, url: `${between.url}/u/ev`,
  });
  const run = [doorward, 'run', '-q', '--client', name, '--', diverted(it.home, name, path, it.url, between.url)];
  const [program, ...words] = [...(bridge ? [path] : run), ...started.arguments];
  it.began = Date.now();
  const env = {
    ...it.environment, ...started.variables, BROWSER: browser.browser, DISPLAY: ':99',
    PATH: `${browser.folder}:${it.environment.PATH}`,
  };
  const agent = child(program, words, { cwd: work, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let wrote = '';
  for (const stream of [agent.stdout, agent.stderr]) stream.on('data', (data) => { wrote += data; });
  const timer = setTimeout(() => agent.kill('SIGKILL'), PATIENCE);
  const over = new Promise((resolve) => { agent.once('close', resolve); });
  const befalls = Promise.resolve(situation.started?.(it));
  const code = await over;
  await befalls;
  clearTimeout(timer);
  standin.close();
  between.close();
  const probes = between.asked.filter(isProbe);
  return { ...standin.seen(), code, wrote, probes, asked: between.asked, opened: browser.opened() };
}

const isAnswer = (text) => /Echo: hello/.test(text ?? '');
/** What a call of the stand-in is told when it is not needed any more. */
const isThere = (text) => /ev is there now/.test(text ?? '');
/** What a program tells a model of a tool that the list does not have any more. */
const isGone = (text) => /not found\. Did you mean/.test(text ?? '');
const isHint = (text) => !isAnswer(text) && !isThere(text) && !isGone(text) && /doorward|sign(ed)?[ -]in/i.test(text ?? '');

/** What is wrong with what was seen, `null` where nothing is; and what a table says of it. */
function judge(name, situation, seen) {
  const wrong = [];
  const told = [];
  const limit = situation.except?.[name];
  (limit?.expected ?? situation.expected).forEach((expected, n) => {
    const text = seen.results[n];
    const kinds = { answer: isAnswer(text), there: isThere(text), gone: isGone(text), hint: isHint(text) };
    const is = Object.keys(kinds).find((kind) => kinds[kind]) ?? 'nothing';
    told.push(is);
    if (![expected].flat().includes(is)) wrong.push(`call ${n}: expected the ${expected}, saw ${text ?? 'nothing'}`);
  });
  const answered = seen.probes.filter(({ status }) => status !== 404);
  if (answered.length) wrong.push(`probes were answered: ${JSON.stringify(answered)}`);
  if (seen.opened.length) wrong.push(`a browser was opened: ${seen.opened}`);
  const why = limit && !wrong.length ? ` (${limit.because})` : '';
  return { wrong, cell: `${counted(told).join(', ')}${why}` };
}

/** What a row says of all requests that looked for OAuth, and of the browsers of the machine. */
function intrusions(all) {
  const probes = all.flatMap(({ probes }) => probes);
  const others = probes.filter(({ status }) => status !== 404);
  const opened = all.flatMap(({ opened }) => opened);
  return {
    [PROBES]: probes.length ? `${probes.length}, ${others.length ? 'FAILED' : 'all 404'}` : 'none',
    [BROWSERS]: opened.length ? `FAILED (${opened.length})` : 'none',
  };
}

/** The same in a row is told once. */
function counted(told) {
  const runs = [];
  for (const one of told) {
    if (runs.at(-1)?.one === one) runs.at(-1).times += 1;
    else runs.push({ one, times: 1 });
  }
  return runs.map(({ one, times }) => (times > 1 ? `${times} × ${one}` : one));
}

function table(rows) {
  const names = [...options.only, PROBES, BROWSERS];
  const head = ['program', 'by', ...names];
  return [head, head.map(() => '---'), ...rows.map((row) => [row.program, row.by, ...names.map((name) => row[name])])]
    .map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

async function main() {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => { endAll(); process.exit(1); });
  }
  const began = Date.now();
  const rows = [];
  let failed = false;
  for (const name of asked.length ? asked : Object.keys(programs)) {
    const path = find(name);
    if (!path) {
      console.log(`${name}: skipped, it is not installed (tests/agents/run --install, or put it on PATH)`);
      continue;
    }
    const shown = `${name} ${version(path, { PATH: process.env.PATH, HOME: process.env.HOME })}`;
    for (const by of options.by) {
      const row = { program: shown, by };
      const all = [];
      for (const about of options.only) {
        const situation = situations[about];
        const it = await world(doorward, situation.settings);
        try {
          await situation.begin(it);
          const seen = await watch(it, name, path, by, situation);
          all.push(seen);
          const { wrong, cell } = judge(name, situation, seen);
          row[about] = wrong.length ? `FAILED (${cell})` : cell;
          failed ||= wrong.length > 0;
          console.log(`${shown} by ${by}: ${about}: ${row[about]}`);
          for (const line of wrong) console.log(`    ${line}`);
          if (wrong.length || options.verbose) {
            const asked = seen.asked.map(({ method, path, status }) => `${method} ${path} ${status}`);
            console.log(JSON.stringify({ ...seen, asked, wrote: seen.wrote.slice(-2000) }, null, 1));
          }
        } finally {
          await it.close();
        }
      }
      Object.assign(row, intrusions(all));
      rows.push(row);
    }
  }
  const minutes = Math.ceil((Date.now() - began) / 60_000);
  const run = `One run of ${minutes} minutes, ended on ${new Date().toISOString().slice(0, 10)}.`;
  console.log(`${run}\n\n${table(rows)}`);
  if (options.table) {
    const marks = ['<!-- alive -->', '<!-- /alive -->'];
    const [before, rest] = readFileSync(PAGE, 'utf8').split(marks[0]);
    const after = rest.split(marks[1])[1];
    writeFileSync(PAGE, `${before}${marks[0]}\n${run}\n\n${table(rows)}\n${marks[1]}${after}`);
  }
  await wait(0);
  endAll();
  process.exit(failed ? 1 : 0);
}

await main();
