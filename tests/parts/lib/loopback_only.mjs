// Loaded into the MCP server before its own code. Whatever it asks for, it listens on a free port
// of the loopback interface; it reports that port to its parent, and it ends with its parent.

import net from 'node:net';

const { listen } = net.Server.prototype;

net.Server.prototype.listen = function listenOnLoopback(...args) {
  const ready = args.find((argument) => typeof argument === 'function');
  this.once('listening', () => process.send?.({ port: this.address().port }));
  return listen.call(this, { host: '127.0.0.1', port: 0 }, ready);
};

process.on('disconnect', () => process.exit(0));

// The server repeats its simulated notifications every five seconds: too slow for a test.
const every = globalThis.setInterval;
const tick = Number(process.env.NOTIFICATION_MS);
if (tick) {
  globalThis.setInterval = (run, milliseconds, ...rest) => every(
    run,
    milliseconds === 5000 ? tick : milliseconds,
    ...rest,
  );
}
