// What befalls an agent while it works, and what it must have seen in the end. `begin` makes the world,
// `before(n)` is what happens before the tool is called for the nth time, and `expected` says which of
// the results must be a hint and which the server's own answer.

import { signIn, tell, wait } from '../parts.mjs';

/** How long after the start of the program somebody signs in. */
const LATER = 7_000;
/** How long the token endpoint is down. */
const DOWN = 20_000;

/** What a call may see while a program has not listed the tools again. */
const LISTING = ['there', 'gone', 'answer'];

/** Lets the daemon hear what the tools are, from an agent that is not watched. */
async function seeTools(it) {
  const { credential } = it.ask('session', 'mint', '--label', 'first');
  const headers = {
    authorization: `Bearer ${credential}`, 'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const say = async (message) => {
    const answer = await fetch(`${it.url}/u/ev`, {
      method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    });
    await answer.text();
    return answer.headers.get('mcp-session-id');
  };
  const params = {
    protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'first', version: '0' },
  };
  headers['mcp-session-id'] = await say({ id: 0, method: 'initialize', params });
  await say({ method: 'notifications/initialized' });
  await say({ id: 1, method: 'tools/list' });
}

const after = (it, ms) => wait(Math.max(0, it.began + ms - Date.now()));

const laterSignIn = async (it) => { await after(it, LATER); await signIn(it); };

export const situations = {
  'signed out, new': {
    says: 'nobody has signed in before; the first call is told so, then somebody signs in',
    settings: '[login]\nhold = "0s"\n',
    begin: async () => {},
    // The model has thought about its second call with the tools of before, and programs take their
    // time to list them again.
    before: async (n, it) => { if (n === 1) await laterSignIn(it); if (n) await wait(1_000); },
    expected: ['hint', LISTING, LISTING, LISTING, LISTING, 'answer'],
    except: {
      codex: {
        expected: ['hint', ...Array(5).fill('there')], because: 'it reads the list of tools once',
      },
    },
  },
  'signed out, known': {
    says: 'the tools are known from before; the first call is told, then somebody signs in',
    settings: '[login]\nhold = "0s"\n',
    begin: async (it) => { await signIn(it); await seeTools(it); it.ask('logout', 'ev'); },
    before: async (n, it) => { if (n === 1) await laterSignIn(it); },
    expected: ['hint', 'answer', 'answer'],
  },
  'signed out, held': {
    says: 'the first call waits while somebody signs in',
    begin: async (it) => { await signIn(it); await seeTools(it); it.ask('logout', 'ev'); },
    started: laterSignIn,
    before: async () => {},
    expected: ['answer', 'answer', 'answer'],
  },
  'upstream restarted': {
    says: 'the server is killed and started again: it knows no session any more',
    begin: signIn,
    before: async (n, it) => { if (n === 1) await it.restartUpstream(); },
    expected: ['answer', 'answer', 'answer'],
  },
  'daemon restarted': {
    says: 'the daemon is killed and started again',
    begin: signIn,
    before: async (n, it) => { if (n === 1) await it.restart(); },
    expected: ['answer', 'answer', 'answer'],
  },
  'token endpoint down': {
    says: `tokens end and cannot be renewed for ${DOWN / 1000} s`,
    begin: signIn,
    before: async (n, it) => {
      if (n === 1) {
        await tell(it.authority, '/fault', { on: 'token', kind: 'status', status: 503, times: 'always' });
        await tell(it.authority, '/expire-access-tokens');
        it.down = Date.now();
      }
      if (n === 2) {
        await wait(Math.max(0, it.down + DOWN - Date.now()));
        await tell(it.authority, '/heal');
      }
    },
    expected: ['answer', 'hint', 'answer', 'answer'],
  },
};
