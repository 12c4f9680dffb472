// The client side: doorward as the client of the suite's servers.
//
//   node client.mjs [--short] [--stable] [--table FILE] [SCENARIO…]

import { join } from 'node:path';

import { judge, verdict } from './lib/baseline.mjs';
import { run, spread } from './lib/run.mjs';
import { scenarios } from './lib/scenarios.mjs';
import { HERE } from './lib/suites.mjs';
import { options } from './lib/options.mjs';
import { clientTable, nameOf, replace } from './lib/tables.mjs';

const asked = options(process.argv.slice(2));
const { table, only, width } = asked;
const all = await scenarios('client', asked);

const command = `${process.execPath} ${join(HERE, 'driver.mjs')}`;
const results = await spread(all, width, async (entry) => {
  const result = { ...entry, ...(await run(entry, ['--command', command])) };
  console.log(verdict(result));
  if (only.length > 0) console.log(result.said);
  return result;
});
if (table) await replace(table, nameOf('client', asked), clientTable(results));
process.exitCode = await judge('client', results, asked);
