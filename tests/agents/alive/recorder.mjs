// What stands between a program and the daemon and writes down what was asked and answered, and what
// stands in for the browsers of the machine and writes down that it was opened.

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

/** Passes requests on to `origin()`, byte for byte but for the authority. */
export async function recorder(origin) {
  const asked = [];
  const server = http.createServer((request, response) => {
    const entry = { method: request.method, path: request.url, status: null };
    asked.push(entry);
    const { host, hostname, port } = new URL(origin());
    const headers = request.rawHeaders.map((value, index, all) => (
      index % 2 === 1 && all[index - 1].toLowerCase() === 'host' ? host : value
    ));
    const onward = http.request({
      hostname, port, method: request.method, path: request.url, headers, agent: false,
    });
    onward.on('response', (answer) => {
      entry.status = answer.statusCode;
      response.writeHead(answer.statusCode, answer.rawHeaders);
      response.flushHeaders();
      answer.on('error', () => response.destroy());
      answer.on('close', () => { if (!answer.complete) response.destroy(); });
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    close: () => { server.closeAllConnections(); server.close(); },
  };
}

/** Whether a request is one of those that OAuth clients begin with. */
export const isProbe = ({ path }) => /\/\.well-known\/|^\/(register|authorize|token)\b/.test(path);

const BROWSERS = [
  'xdg-open', 'open', 'gio', 'wslview', 'sensible-browser', 'x-www-browser', 'www-browser',
  'gnome-open', 'kde-open', 'firefox', 'google-chrome', 'chromium', 'chromium-browser',
];

/** A folder of browsers for the start of PATH; `opened()` gives what they were told to open. */
export function browsers(home) {
  const folder = join(home, 'browsers');
  const note = join(home, 'opened');
  mkdirSync(folder);
  for (const name of BROWSERS) {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\necho "${name} $*" >> '${note}'\n`);
    chmodSync(file, 0o755);
  }
  const opened = () => (existsSync(note) ? readFileSync(note, 'utf8').trim().split('\n') : []);
  return { folder, browser: join(folder, 'xdg-open'), opened };
}

/** A program in the place of the one at `path`, that is told `to` wherever it would be told `from`. */
export function diverted(home, name, path, from, to) {
  const file = join(home, name);
  writeFileSync(file, `#!${process.execPath}
const { spawnSync } = require('node:child_process');
const other = (text) => text.replaceAll(${JSON.stringify(from)}, ${JSON.stringify(to)});
const environment = Object.entries(process.env).map(([key, value]) => [key, key === 'DOORWARD_URL' ? value : other(value)]);
const ran = spawnSync(${JSON.stringify(path)}, process.argv.slice(2).map(other), {
  stdio: 'inherit', env: Object.fromEntries(environment),
});
process.exit(ran.status ?? 1);
`);
  chmodSync(file, 0o755);
  return file;
}
