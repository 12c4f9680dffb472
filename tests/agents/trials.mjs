// What is tried with each program and each way. A trial gives words for the table where it went well, and
// what was seen, as an object, where it did not.

import { wait } from './parts.mjs';

/** A session that lives so many seconds unused. */
const SHORT = 30;
/** A program that takes longer than this to ask its model can have lost such a session by then. */
const SLOW = (SHORT - 5) * 1000;
const short = `ttl = "${SHORT}s"\nidle = "${SHORT}s"`;

/** What `judge` makes of a prompt; again where it failed and the program took too long to begin. */
async function promptly(go, script, judge) {
  for (let tries = 0; tries < 3; tries += 1) {
    const seen = await go(script);
    const outcome = judge(seen);
    if (typeof outcome === 'string' || seen.began === null || seen.began < SLOW) return outcome;
  }
  return 'not measured: the program takes too long to start';
}

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
    sessions: short,
    run: async (go) => {
      const script = { calls: 4, before: (n) => (n ? wait(13_000) : undefined) };
      return promptly(go, script, (seen) => well(seen, [0, 1, 2, 3]));
    },
  },
  // Its event stream is use as well: the server writes to it every 15 s.
  'unused for longer': {
    sessions: short,
    run: async (go, world) => {
      let living = [];
      const pause = async (n) => {
        if (n === 0) return;
        await wait(33_000);
        living = world.ask(['ctl', 'sessions']).items;
      };
      const outcome = await promptly(go, { calls: 2, before: pause }, (seen) => told(seen, [0], /expired/));
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
