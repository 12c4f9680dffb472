// Debian's glewlwyd as an authorization server: written in C, it answers errors with an empty body,
// serves its metadata at the OpenID Connect address below its issuer only, takes no public clients
// at its token endpoint, and gives JWTs as access tokens.
//
//   node glewlwyd.mjs '{"access_token_ttl": 3600}'
//
// Its database and configuration are in a directory of their own that goes with it. Prints one
// JSON line when it is ready and ends when its standard input ends.

import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

import {
  configuration, Counts, exitWithParent, Gate, listen, startControl,
} from './lib/control.mjs';
import { Faults } from './lib/faults.mjs';

const settings = configuration({ access_token_ttl: 3600 });
const SCHEMA = '/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz';
const PLUGINS = '/usr/lib/glewlwyd';
const KEY = 'a-secret-of-the-tests';
const SCOPE = 'mcp';
const PERSON = { username: 'alice', password: 'password' };

const counts = new Counts([
  'registrations', 'deletions', 'token_requests', 'token_failed', 'revocations', 'revoke_failed',
  'held',
]);
const log = [];
let audience; // of every token
let inside; // where glewlwyd itself listens

/** What it is asked goes through here, and is counted. */
const front = http.createServer((req, res) => {
  const path = req.url.split('?')[0];
  const asked = http.request(`${inside}${req.url}`, {
    method: req.method, headers: req.headers,
  }, (answer) => {
    const failed = answer.statusCode >= 400;
    log.push({ method: req.method, path, status: answer.statusCode });
    if (path.endsWith('/token')) counts.add('token_requests');
    if (path.endsWith('/token') && failed) counts.add('token_failed');
    if (path.endsWith('/revoke')) counts.add(failed ? 'revoke_failed' : 'revocations');
    if (path.endsWith('/register') && !failed) counts.add('registrations');
    if (req.method === 'DELETE' && !failed) counts.add('deletions');
    res.writeHead(answer.statusCode, answer.headers);
    answer.pipe(res);
  });
  asked.on('error', () => res.destroy());
  req.pipe(asked);
});
const origin = await listen(front);
const issuer = `${origin}/api/oidc`;

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

const folder = mkdtempSync(join(tmpdir(), 'glewlwyd-'));
const database = join(folder, 'database');
execFileSync('sqlite3', [database], { input: gunzipSync(readFileSync(SCHEMA)) });
const port = await freePort();
inside = `http://127.0.0.1:${port}`;
writeFileSync(join(folder, 'conf'), `
port=${port}
bind_address="127.0.0.1"
external_url="${origin}"
login_url="login.html"
api_prefix="api"
log_mode="file"
log_level="INFO"
log_file="${join(folder, 'log')}"
cookie_secure=0
session_key="SESSION"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="${PLUGINS}/user"
client_module_path="${PLUGINS}/client"
user_auth_scheme_module_path="${PLUGINS}/scheme"
plugin_module_path="${PLUGINS}/plugin"
hash_algorithm="SHA512"
database = { type="sqlite3"; path="${database}"; };
`);
// It goes with this process, also where that is killed: then the pipe to the shell closes.
const GUARD = 'glewlwyd --config-file "$0/conf" & read -r _; kill -9 $!; wait; rm -rf "$0"';
const child = spawn('sh', ['-c', GUARD, folder], { stdio: ['pipe', 'ignore', 'ignore'] });
exitWithParent();
child.once('exit', (code) => {
  console.error(`glewlwyd ended with ${code}`);
  process.exit(1);
});

/** Somebody with a session there. */
class Visitor {
  #cookie = '';

  async ask(method, path, body) {
    const res = await fetch(`${inside}/api${path}`, {
      method,
      headers: { 'content-type': 'application/json', cookie: this.#cookie },
      body: body && JSON.stringify(body),
      redirect: 'manual',
    });
    this.#cookie = res.headers.get('set-cookie')?.split(';')[0] ?? this.#cookie;
    return res;
  }

  async must(method, path, body) {
    const res = await this.ask(method, path, body);
    if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`);
  }
}

const admin = new Visitor();
for (let tries = 0; ; tries += 1) {
  try {
    await admin.must('POST', '/auth/', { username: 'admin', password: 'password' });
    break;
  } catch (error) {
    if (tries > 200) throw error;
    await pause(50);
  }
}
await admin.must('POST', '/mod/plugin/', {
  module: 'oidc',
  name: 'oidc',
  display_name: 'oidc',
  parameters: {
    iss: issuer,
    'jwt-type': 'sha', 'jwt-key-size': '256', key: KEY,
    'access-token-duration': settings.access_token_ttl,
    'refresh-token-duration': 14 * 24 * 3600,
    'code-duration': 60,
    'refresh-token-rolling': true, 'refresh-token-one-use': 'always',
    'allow-non-oidc': true,
    'auth-type-code-enabled': true, 'auth-type-refresh-enabled': true,
    'pkce-allowed': true, 'pkce-method-plain-allowed': false,
    'introspection-revocation-allowed': true, 'introspection-revocation-allow-target-client': true,
    'register-client-allowed': true, 'register-client-auth-scope': [],
    'register-client-credentials-scope': [], 'register-client-management-allowed': true,
    'oauth-as-iss-id': true,
    'allowed-scope': ['openid', SCOPE],
  },
});
await admin.must('POST', '/scope/', { name: SCOPE, display_name: SCOPE, password_required: true });
await admin.must('POST', '/user/', {
  ...PERSON, enabled: true, scope: ['g_profile', 'openid', SCOPE],
});

/** Signs in, consents, and goes where it is sent. */
async function signIn({ url }) {
  const asked = new URL(url);
  const person = new Visitor();
  await person.must('POST', '/auth/', PERSON);
  const client = asked.searchParams.get('client_id');
  await person.must('PUT', `/auth/grant/${client}/`, { scope: `openid ${SCOPE}` });
  const res = await person.ask('GET', `${asked.pathname.replace(/^\/+api/, '')}${asked.search}&g_continue`);
  return { location: res.headers.get('location'), status: res.status };
}

/** What its access tokens say, which are JWTs. They name scopes as their audience. */
async function check({ token }) {
  const [head, claims, signature] = token.split('.');
  const expected = createHmac('sha256', KEY).update(`${head}.${claims}`).digest('base64url');
  if (signature !== expected) return { active: false, reason: 'unknown' };
  const facts = JSON.parse(Buffer.from(claims, 'base64url').toString());
  const active = facts.type === 'access_token' && facts.exp * 1000 > Date.now();
  return { active, reason: 'expired', account: facts.sub, aud: audience };
}

const control = await startControl({
  counts,
  log,
  faults: new Faults(),
  gate: new Gate(counts),
  routes: {
    'POST /sign-in': signIn,
    'POST /check': check,
    'POST /audience': ({ url }) => {
      audience = url;
      return {};
    },
  },
});
console.log(JSON.stringify({ ready: true, url: issuer, control }));
