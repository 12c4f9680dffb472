// What is tried with each program and each way. A trial gives words for the table where it went well, and
// what was seen, as an object, where it did not.

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const echoed = (seen, calls) => (
  calls.every((n) => seen.results[n]?.includes(`Echo: hello ${n}`))
);

const well = (seen, calls) => (echoed(seen, calls) ? 'works' : seen);

/** How the model was told that its session is over, after calls that went well. */
function told(seen, calls, words) {
  const last = seen.results[calls.length];
  if (!echoed(seen, calls)) return seen;
  // A program without such a call has given the server up, and says so itself.
  if (!last) return words.test(seen.wrote) ? 'told' : seen;
  if (last.includes(`Echo: hello ${calls.length}`)) return 'a new session';
  if (!words.test(last)) return { ...seen, note: 'in words of the program' };
  return /Next: /.test(last) ? 'told' : { ...seen, note: 'nothing to run' };
}

export const trials = {
  'a call': {
    run: async (go) => well(await go({ calls: 1 }), [0]),
  },
  'tokens of 3 s': {
    run: async (go, world) => {
      await world.tokensOf(3);
      const seen = await go({ calls: 4, before: (n) => (n ? wait(4000) : undefined) });
      await world.tokensOf(3600);
      return well(seen, [0, 1, 2, 3]);
    },
  },
  // In use for longer than it lives unused.
  'session of 30 s': {
    sessions: 'ttl = "30s"\nidle = "30s"',
    run: async (go) => {
      const seen = await go({ calls: 4, before: (n) => (n ? wait(13_000) : undefined) });
      return well(seen, [0, 1, 2, 3]);
    },
  },
  // Its event stream is use as well: the server writes to it every 15 s.
  'unused for longer': {
    sessions: 'ttl = "30s"\nidle = "30s"',
    run: async (go, world) => {
      let living = [];
      const pause = async (n) => {
        if (n === 0) return;
        await wait(33_000);
        living = world.ask(['ctl', 'sessions']).items;
      };
      const outcome = told(await go({ calls: 2, before: pause }), [0], /expired/);
      return living.length && outcome === 'a new session' ? 'the same session' : outcome;
    },
  },
  restart: {
    run: async (go, world) => {
      const restart = async (n) => { if (n === 1) await world.restart(); };
      return well(await go({ calls: 3, before: restart }), [0, 1, 2]);
    },
  },
  revoke: {
    run: async (go, world) => {
      const revoke = (n) => {
        if (n === 1) world.ask(['ctl', 'revoke', '--all', '--reason', 'the test is over']);
      };
      return told(await go({ calls: 2, before: revoke }), [0], /the test is over/i);
    },
  },
};
