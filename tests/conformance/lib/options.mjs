// What can be said on the command line of both sides.

export function options(args) {
  const found = { short: false, suite: 'current', table: undefined, only: [], width: 2 };
  for (let index = 0; index < args.length; index += 1) {
    if (args[index] === '--short') found.short = true;
    else if (args[index] === '--stable') found.suite = 'stable';
    else if (args[index] === '--table') found.table = args[(index += 1)];
    else if (args[index].startsWith('-')) throw new Error(`unknown option ${args[index]}`);
    else found.only.push(args[index]);
  }
  const whole = !found.short && found.only.length === 0;
  if (found.table && !whole) throw new Error('the table is written from whole runs only');
  return found;
}
