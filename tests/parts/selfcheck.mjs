// Walks through everything the parts offer, without doorward: run it by hand after a change here.
//
//   node selfcheck.mjs

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import {
  authorize, check, get, json, login, metadataOf, post, REDIRECT, refresh, register, token,
} from './lib/oauth_client.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const running = [];

async function start(program, settings = {}) {
  const child = spawn(process.execPath, [here(program), JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  running.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    return { ...JSON.parse(line), child };
  }
  throw new Error(`${program} did not start`);
}

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' },
  },
};
const ECHO = {
  jsonrpc: '2.0',
  id: 2,
  method: 'tools/call',
  params: { name: 'echo', arguments: { message: 'x' } },
};

const mcp = (guard, accessToken, message, session) => fetch(guard.url, {
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(accessToken ? { authorization: `Bearer ${accessToken}` } : {}),
    ...(session ? { 'mcp-session-id': session } : {}),
  },
  body: JSON.stringify(message),
});

async function family(server, resource) {
  const metadata = await metadataOf(server);
  assert.equal(metadata.issuer, server.issuer);
  assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
  assert.equal(metadata.authorization_response_iss_parameter_supported, true);
  const client = await register(metadata);
  assert.equal(client.token_endpoint_auth_method, 'none');
  const first = await login(server, metadata, client, resource, { scope: 'mcp:read' });
  assert.equal(first.token_type, 'Bearer');
  const seen = await check(server, first.access_token);
  assert.deepEqual([seen.active, seen.aud, seen.generation, seen.account, seen.scope], [
    true, resource, 1, 'alice', 'mcp:read',
  ]);

  const second = await refresh(metadata, client, first.refresh_token, resource);
  assert.equal(second.status, 200);
  assert.notEqual(second.body.refresh_token, first.refresh_token);
  assert.equal((await check(server, second.body.access_token)).generation, 2);
  assert.equal((await check(server, first.access_token)).active, true);
  const reused = await refresh(metadata, client, first.refresh_token, resource);
  assert.deepEqual([reused.status, reused.body.error], [400, 'invalid_grant']);
  assert.equal((await check(server, second.body.access_token)).active, false);
  const after = await refresh(metadata, client, second.body.refresh_token, resource);
  assert.equal(after.body.error, 'invalid_grant');
  const counts = await get(server, '/counts');
  assert.deepEqual([
    counts.registrations, counts.authorization_code_grants, counts.refresh_ok,
    counts.refresh_rejected, counts.reuse_events, counts.token_requests,
  ], [1, 1, 1, 2, 1, 4]);

  const race = await login(server, metadata, client, resource);
  const both = await Promise.all([1, 2]
    .map(() => refresh(metadata, client, race.refresh_token, resource)));
  assert.equal(both.filter(({ status }) => status === 400).length >= 1, true);
  assert.equal((await get(server, '/counts')).reuse_events, 2);
  const winner = both.find(({ status }) => status === 200)?.body;
  if (winner) assert.equal((await check(server, winner.access_token)).active, false);
}

async function variations(server, resource) {
  const metadata = await metadataOf(server);
  for (const method of ['client_secret_basic', 'client_secret_post']) {
    const client = await register(metadata, { token_endpoint_auth_method: method });
    const { verifier, answer } = await authorize(server, metadata, client, resource);
    const form = {
      grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: REDIRECT,
      code_verifier: verifier,
    };
    const pair = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
    const tokens = method === 'client_secret_basic'
      ? await token(metadata, form, { authorization: `Basic ${pair}` })
      : await token(metadata, {
        ...form, client_id: client.client_id, client_secret: client.client_secret,
      });
    assert.equal(tokens.status, 200, JSON.stringify(tokens.body));
    assert.equal((await get(server, '/log')).at(-1).auth_method, method);
  }

  const client = await register(metadata);
  const otherPort = REDIRECT.replace('43210', '43211');
  const moved = await authorize(server, metadata, client, resource, { redirect_uri: otherPort });
  assert.match(moved.location, /^http:\/\/127\.0\.0\.1:43211\//);
  await post(server, '/mode', { exact_redirect: true });
  const refused = await fetch(new URL(`?${new URLSearchParams({
    response_type: 'code', client_id: client.client_id, redirect_uri: otherPort,
    code_challenge: 'x'.repeat(43), code_challenge_method: 'S256',
  })}`, metadata.authorization_endpoint), { redirect: 'manual' });
  assert.equal(refused.status, 400);
  await post(server, '/mode', { exact_redirect: false, consent: 'deny' });
  const denied = await authorize(server, metadata, client, resource);
  assert.equal(denied.answer.get('error'), 'access_denied');
  await post(server, '/mode', { consent: 'allow', iss: 'omit' });
  assert.equal((await authorize(server, metadata, client, resource)).answer.get('iss'), null);
  await post(server, '/mode', { iss: 'wrong' });
  const wrong = await authorize(server, metadata, client, resource);
  assert.notEqual(wrong.answer.get('iss'), server.issuer);
  await post(server, '/mode', { iss: 'normal' });

  let held = await login(server, metadata, client, resource, { login_hint: 'bob' });
  assert.equal((await check(server, held.access_token)).account, 'bob');
  const next = async () => {
    const answer = await refresh(metadata, client, held.refresh_token, resource);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const before = held;
    held = answer.body;
    return before;
  };
  await post(server, '/mode', { kill_old_access: true });
  const old = await next();
  assert.equal((await check(server, old.access_token)).reason, 'superseded');
  await post(server, '/mode', { kill_old_access: false, reuse_leeway: 60 });
  const spent = await next();
  const again = await refresh(metadata, client, spent.refresh_token, resource);
  assert.equal(again.status, 200);
  await post(server, '/advance', { seconds: 61 });
  const late = await refresh(metadata, client, spent.refresh_token, resource);
  assert.equal(late.body.error, 'invalid_grant');
  await post(server, '/mode', { reuse_leeway: 0 });

  held = await login(server, metadata, client, resource);
  await post(server, '/advance', { seconds: 3601 });
  assert.equal((await check(server, held.access_token)).reason, 'expired');
  await next();
  await post(server, '/expire-access-tokens');
  assert.equal((await check(server, held.access_token)).reason, 'expired');
  await post(server, '/mode', { rotate: false });
  assert.equal((await next()).refresh_token, held.refresh_token);
  await post(server, '/mode', { rotate: true });
  const revoked = await fetch(metadata.revocation_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ token: held.refresh_token, client_id: client.client_id }),
  });
  assert.equal(revoked.status, 200);
  assert.equal((await refresh(metadata, client, held.refresh_token)).body.error, 'invalid_grant');
  assert.equal((await get(server, '/counts')).revocations, 1);

  held = await login(server, metadata, client, resource);
  await post(server, '/revoke-grants');
  assert.equal((await check(server, held.access_token)).reason, 'revoked');
  assert.equal((await refresh(metadata, client, held.refresh_token)).body.error, 'invalid_grant');
  await post(server, '/forget-clients');
  assert.equal((await refresh(metadata, client, held.refresh_token)).body.error, 'invalid_client');
}

async function faults(server, resource) {
  const metadata = await metadataOf(server);
  const client = await register(metadata);
  let held = await login(server, metadata, client, resource);
  const disturbed = async (fault) => {
    await post(server, '/fault', { on: 'token', ...fault });
    const answer = await refresh(metadata, client, held.refresh_token, resource)
      .catch((error) => ({ failed: String(error.cause?.code ?? error.cause ?? error) }));
    if (answer.status === 200 && answer.body.refresh_token) held = answer.body;
    return answer;
  };
  const busy = await disturbed({
    kind: 'status', status: 503, headers: { 'retry-after': '30' }, body: '<h1>busy</h1>',
  });
  assert.deepEqual([busy.status, busy.headers.get('retry-after'), busy.body], [
    503, '30', '<h1>busy</h1>',
  ]);
  assert.equal((await disturbed({ kind: 'reset_before' })).failed, 'ECONNRESET');
  assert.equal((await disturbed({ kind: 'empty' })).body, '');
  assert.equal(typeof (await disturbed({ kind: 'broken_json' })).body, 'string');
  assert.equal((await disturbed({ kind: 'error_200' })).body.error, 'temporarily_unavailable');
  assert.equal(typeof (await disturbed({ kind: 'expires_as_string' })).body.expires_in, 'string');
  assert.equal((await disturbed({ kind: 'expires_float' })).body.expires_in % 1, 0.5);
  assert.equal((await disturbed({ kind: 'no_token_type' })).body.token_type, undefined);
  assert.equal(Array.isArray((await disturbed({ kind: 'scope_array' })).body.scope), true);
  assert.equal((await disturbed({ kind: 'slow', delay_ms: 5 })).status, 200);
  const patched = await disturbed({ kind: 'patch', set: { extra: 1 }, remove: ['scope'] });
  assert.deepEqual([patched.body.extra, patched.body.scope], [1, undefined]);
  await post(server, '/mode', { rotate: false });
  const without = await disturbed({ kind: 'drop_refresh_token' });
  assert.deepEqual([without.status, without.body.refresh_token], [200, undefined]);
  assert.match((await disturbed({ kind: 'truncated' })).failed, /./);
  assert.equal((await disturbed({ kind: 'reset_after' })).failed, 'ECONNRESET');

  for (const kind of ['hold_before', 'hold_after']) {
    const waiting = disturbed({ kind });
    assert.equal((await get(server, '/wait?count=held&at_least=1')).reached, true);
    await post(server, '/release');
    assert.equal((await waiting).status, 200);
  }
  const hanging = disturbed({ kind: 'hang' });
  assert.equal((await get(server, '/wait?count=held&at_least=1')).reached, true);
  await post(server, '/release');
  assert.match((await hanging).failed, /./);
  assert.equal((await get(server, '/fault')).length, 0);
  await post(server, '/fault', { on: 'discovery', kind: 'patch', remove: ['issuer'] });
  assert.equal((await metadataOf(server)).issuer, undefined);
  await post(server, '/mode', { rotate: true });
  await post(server, '/clear');
  assert.equal((await get(server, '/counts')).token_requests, 0);
}

async function pathIssuer() {
  const server = await start('authorization_server.mjs', {
    path: '/tenant', metadata: ['oauth'], offline_access: false,
  });
  assert.equal(server.issuer, `${server.url}/tenant`);
  const root = await fetch(`${server.url}/.well-known/oauth-authorization-server`);
  const appended = await fetch(`${server.issuer}/.well-known/openid-configuration`);
  assert.deepEqual([root.status, appended.status], [404, 404]);
  const metadata = await json('GET', `${server.url}/.well-known/oauth-authorization-server/tenant`);
  assert.equal(metadata.issuer, server.issuer);
  assert.equal(metadata.scopes_supported.includes('offline_access'), false);
  const client = await register(metadata);
  const tokens = await login(server, metadata, client, 'http://127.0.0.1:9/mcp');
  assert.equal(typeof tokens.refresh_token, 'string');
}

async function registeredBefore() {
  const known = {
    client_id: 'known',
    application_type: 'native',
    grant_types: ['authorization_code'],
    redirect_uris: [REDIRECT],
    token_endpoint_auth_method: 'none',
  };
  const server = await start('authorization_server.mjs', {
    registration: false, revocation: false, clients: [known],
  });
  const metadata = await metadataOf(server);
  assert.deepEqual([metadata.registration_endpoint, metadata.revocation_endpoint], [
    undefined, undefined,
  ]);
  const tokens = await login(server, metadata, known, 'http://127.0.0.1:9/mcp');
  assert.equal(tokens.refresh_token, undefined);
}

/** Where the metadata is found, for each way to announce it. */
async function announcements(resource) {
  const wellKnown = `${resource.origin}/.well-known/oauth-protected-resource`;
  const ways = {
    header: [`${wellKnown}/mcp`, true, resource.url],
    header_only: [`${resource.origin}/resource-metadata`, true, resource.url],
    path: [`${wellKnown}/mcp`, false, resource.url],
    root: [wellKnown, false, resource.origin],
  };
  for (const [metadata, [address, announced, identifier]] of Object.entries(ways)) {
    await post(resource, '/mode', { metadata });
    const challenge = (await mcp(resource, null, INITIALIZE)).headers.get('www-authenticate');
    assert.equal(challenge, announced ? `Bearer resource_metadata="${address}"` : 'Bearer');
    assert.equal((await json('GET', address)).resource, identifier);
    for (const [other] of Object.values(ways).filter(([there]) => there !== address)) {
      assert.equal((await fetch(other)).status, 404);
    }
  }
  await post(resource, '/mode', { metadata: 'none' });
  assert.equal((await fetch(`${wellKnown}/mcp`)).status, 404);
  await post(resource, '/mode', { metadata: 'header' });
}

async function guard(server, resource) {
  const missing = await mcp(resource, null, INITIALIZE);
  assert.equal(missing.status, 401);
  const [, pointer] = /resource_metadata="([^"]+)"/.exec(missing.headers.get('www-authenticate'));
  const document = await json('GET', pointer);
  assert.deepEqual([document.resource, document.authorization_servers], [
    resource.url, [server.issuer],
  ]);
  const metadata = await metadataOf(server);
  const client = await register(metadata);
  const foreign = await login(server, metadata, client, 'http://127.0.0.1:9/mcp');
  assert.equal((await mcp(resource, foreign.access_token, INITIALIZE)).status, 401);
  const { access_token: access } = await login(server, metadata, client, resource.url);

  const begun = await mcp(resource, access, INITIALIZE);
  assert.equal(begun.status, 200);
  const session = begun.headers.get('mcp-session-id');
  assert.match(await begun.text(), /mcp-servers\/everything/);
  assert.match(await (await mcp(resource, access, ECHO, session)).text(), /Echo: x/);

  await post(resource, '/fault', { kind: 'commit_then_drop', rpc: 'tools/call' });
  await assert.rejects(mcp(resource, access, ECHO, session).then((answer) => answer.text()));
  await post(resource, '/fault', { kind: 'drop_midway' });
  await assert.rejects(mcp(resource, access, ECHO, session).then((answer) => answer.text()));
  assert.equal((await get(resource, '/counts')).tools_call, 3);
  assert.deepEqual(await get(resource, '/tools'), { echo: 3 });
  await post(resource, '/fault', { kind: 'reject', times: 2 });
  for (const status of [401, 401, 200]) {
    const answer = await mcp(resource, access, ECHO, session);
    assert.equal(answer.status, status);
    await answer.text();
  }

  const events = await fetch(resource.url, {
    headers: {
      accept: 'text/event-stream', authorization: `Bearer ${access}`, 'mcp-session-id': session,
    },
  });
  assert.equal(events.status, 200);
  assert.equal((await get(resource, '/counts')).streams_open, 1);
  await post(resource, '/write-streams', { text: ': hello\n\n' });
  const { value } = await events.body.getReader().read();
  assert.match(Buffer.from(value).toString(), /: hello/);
  assert.deepEqual(await post(resource, '/cut-streams'), { cut: 1 });
  assert.equal((await get(resource, '/wait?count=streams_open&at_most=0')).reached, true);

  await post(resource, '/mode', { answer_headers: { 'x-extra': 'yes' } });
  const extra = await mcp(resource, access, ECHO, session);
  assert.equal(extra.headers.get('x-extra'), 'yes');
  await post(resource, '/fault', { kind: 'session_404' });
  assert.equal((await mcp(resource, access, ECHO, session)).status, 404);
  assert.equal((await mcp(resource, access, ECHO, session)).status, 404);
  assert.equal((await mcp(resource, access, INITIALIZE)).status, 200);
  await post(server, '/expire-access-tokens');
  assert.equal((await mcp(resource, access, INITIALIZE)).status, 401);
  assert.equal((await get(resource, '/log')).at(-1).refused, 'expired');
}

async function sdkClients(server, resource) {
  const metadata = await metadataOf(server);
  const client = await register(metadata);
  const { access_token: access } = await login(server, metadata, client, resource.url);
  const python = here('.venv/bin/python');
  const programs = [[process.execPath, [here('ts_client.mjs')]]];
  if (existsSync(python)) programs.push([python, [here('py_client.py')]]);
  for (const [program, args] of programs) {
    const more = ['--calls', '10', '--parallel', '3', '--notifications', '3'];
    const { stdout } = await promisify(execFile)(program, [...args, resource.url, ...more], {
      env: { ...process.env, DOORWARD_SESSION: access },
    });
    const result = JSON.parse(stdout);
    assert.deepEqual([result.ok, result.calls], [true, 10], stdout);
    assert.equal(result.tools.includes('echo') && result.notifications >= 3, true, stdout);
    const failing = await promisify(execFile)(program, [...args, resource.url], {
      env: { ...process.env, DOORWARD_SESSION: 'wrong' },
    }).catch((error) => error);
    assert.deepEqual([failing.code, JSON.parse(failing.stdout).ok], [1, false]);

    const agent = spawn(program, [...args, resource.url, '--calls', '0', '--interactive'], {
      stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, DOORWARD_SESSION: access },
    });
    running.push(agent);
    const lines = createInterface({ input: agent.stdout })[Symbol.asyncIterator]();
    const line = async () => JSON.parse((await lines.next()).value);
    assert.equal((await line()).connected, true);
    agent.stdin.write('call 2\n');
    assert.equal((await line()).calls, 2);
    agent.stdin.end();
    assert.equal((await line()).ok, true);
    await new Promise((resolve) => { agent.once('exit', resolve); });
  }
}

/** Every part listens on loopback alone: the addresses that the kernel shows for our ports. */
function onlyLoopback(urls) {
  if (!existsSync('/proc/net/tcp')) return;
  const ports = urls.map((url) => Number(new URL(url).port));
  const rows = ['/proc/net/tcp', '/proc/net/tcp6'].filter(existsSync)
    .flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(1));
  const listening = rows.map((row) => row.trim().split(/\s+/))
    .filter(([, , , state]) => state === '0A')
    .map(([, local]) => local.split(':'))
    .filter(([, port]) => ports.includes(parseInt(port, 16)));
  assert.equal(listening.length, new Set(ports).size);
  for (const [address] of listening) assert.equal(address, '0100007F');
}

async function end(part) {
  const exited = new Promise((resolve) => { part.child.once('exit', resolve); });
  part.child.stdin.end();
  assert.equal(await exited, 0);
}

try {
  const server = await start('authorization_server.mjs');
  const resource = await start('resource_server.mjs', {
    issuer: server.issuer, check: server.control,
  });
  onlyLoopback([server.url, server.control, resource.url, resource.control, resource.backend]);
  const steps = {
    family: () => family(server, resource.url),
    variations: () => variations(server, resource.url),
    faults: () => faults(server, resource.url),
    pathIssuer,
    registeredBefore,
    announcements: () => announcements(resource),
    guard: () => guard(server, resource),
    sdkClients: () => sdkClients(server, resource),
  };
  for (const [name, step] of Object.entries(steps)) {
    await step();
    console.log(`ok ${name}`);
  }
  await end(resource);
  await assert.rejects(fetch(resource.backend));
  await end(server);
  console.log('ok end');
} finally {
  for (const child of running) child.kill();
}
