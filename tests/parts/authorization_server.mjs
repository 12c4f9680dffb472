// A real OAuth authorization server (oidc-provider) that a test starts, watches and disturbs.
//
//   node authorization_server.mjs '{"access_token_ttl": 300}'
//
// Prints one JSON line when it is ready and ends when its standard input ends. Everything in
// DEFAULTS can be set by the argument; everything in `mode` also later, by POST /mode.

import { randomBytes, webcrypto } from 'node:crypto';
import http from 'node:http';

import { enterCode, signIn } from './lib/browser.mjs';
import {
  configuration, Counts, exitWithParent, Gate, listen, readBody, sha256, startControl, wiretap,
} from './lib/control.mjs';
import { answerAfter, answerBefore, Faults } from './lib/faults.mjs';
import { Tokens } from './lib/tokens.mjs';

// The library tells everybody that its development settings are in use; here they are meant.
console.warn = () => {};
console.info = () => {};
const { Provider, errors } = await import('oidc-provider');

const DEFAULTS = {
  port: 0,
  path: '', // path of the issuer, such as "/tenant"
  metadata: ['oauth', 'oidc_insert', 'oidc_append'], // well-known addresses that answer
  access_token_ttl: 3600,
  refresh_token_ttl: 14 * 24 * 3600,
  registration: true,
  revocation: true,
  device: true, // codes for other devices (RFC 8628)
  par: false, // authorization requests have to be pushed (RFC 9126)
  scopes: ['mcp:read', 'mcp:write'], // scopes of the protected resource
  offline_access: true, // listed in scopes_supported
  auth_methods: ['none', 'client_secret_basic', 'client_secret_post'],
  clients: [], // clients registered beforehand, in RFC 7591 fields
  // The rest is `mode`.
  account: 'alice', // who signs in, unless the request carries a login_hint
  consent: 'allow', // or "deny"
  default_scope: true, // a request without scope gets all of `scopes`; else it is denied
  iss: 'normal', // in the authorization response: or "omit", or "wrong"
  refresh_tokens: 'always', // or "offline_access" (only with that scope), or "never"
  rotate: true,
  reuse_leeway: 0, // seconds in which a rotated refresh token still works
  dpop_nonce: false, // proofs of possession have to repeat a nonce
  kill_old_access: false, // a new access token ends the older ones of its family
  exact_redirect: false, // compare the port of loopback redirects too
  wiretap: false, // keep what clients send, for POST /seen
};

const mode = configuration(DEFAULTS);
const counts = new Counts([
  'authorize_requests', 'registrations', 'registrations_refused', 'token_requests',
  'code_requests', 'refresh_requests', 'authorization_code_grants', 'authorization_code_rejected',
  'refresh_ok', 'refresh_rejected', 'reuse_events', 'reuse_presented', 'revocations',
  'discovery_requests', 'faults_injected', 'checks', 'checks_refused', 'held',
]);
const faults = new Faults();
const gate = new Gate(counts);
const log = [];
const secrets = {}; // by name, each a set: what a test looks for where it must not be

// Everything in this process reads the time through here, so that a test can move it.
const realNow = Date.now;
let shift = 0;
Date.now = () => realNow() + shift;

const tokens = new Tokens(mode, errors.InvalidGrant, () => counts.add('reuse_events'));

async function signingKey() {
  const { privateKey } = await webcrypto.subtle
    .generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  return { ...await webcrypto.subtle.exportKey('jwk', privateKey), use: 'sig', alg: 'ES256' };
}

function settings(prefix, key) {
  const scopes = mode.scopes.join(' ');
  return {
    adapter: tokens.adapter(),
    clients: mode.clients,
    clientAuthMethods: mode.auth_methods,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    expiresWithSession: () => false,
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: mode.device },
      devInteractions: { enabled: false },
      dPoP: {
        enabled: true, nonceSecret: randomBytes(32), requireNonce: () => mode.dpop_nonce,
      },
      pushedAuthorizationRequests: {
        enabled: mode.par, requirePushedAuthorizationRequests: mode.par,
      },
      registration: { enabled: mode.registration },
      registrationManagement: { enabled: mode.registration },
      revocation: { enabled: mode.revocation },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: scopes,
          audience: resource,
          accessTokenTTL: mode.access_token_ttl,
          accessTokenFormat: 'opaque',
        }),
      },
    },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    interactions: { url: (_ctx, interaction) => `${prefix}/interaction/${interaction.uid}` },
    issueRefreshToken: (_ctx, client, source) => client.grantTypeAllowed('refresh_token')
      && (mode.refresh_tokens === 'always'
        || (mode.refresh_tokens === 'offline_access' && source.scopes.has('offline_access'))),
    jwks: { keys: [key] },
    pkce: { required: () => true },
    responseTypes: ['code'],
    rotateRefreshToken: () => mode.rotate,
    scopes: ['openid', ...(mode.offline_access ? ['offline_access'] : [])],
    ttl: {
      AccessToken: () => mode.access_token_ttl,
      AuthorizationCode: 600,
      ClientCredentials: () => mode.access_token_ttl,
      Grant: 365 * 24 * 3600,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: () => mode.refresh_token_ttl,
      Session: 14 * 24 * 3600,
    },
  };
}

/** Which part of the server a request is for: what faults and the log call `on`. */
function endpointOf(method, path) {
  if (path.includes('/.well-known/')) return 'discovery';
  if (path === '/jwks') return 'jwks';
  if (path === '/reg' || path.startsWith('/reg/')) return 'register';
  if (path === '/token' && method === 'POST') return 'token';
  if (path === '/token/revocation') return 'revoke';
  if (path === '/auth') return 'authorize';
  if (path === '/device/auth') return 'device';
  if (path === '/request') return 'push';
  return 'other';
}

function clientAuthentication(header, form) {
  if (header?.toLowerCase().startsWith('basic ')) {
    const [id] = Buffer.from(header.slice(6), 'base64').toString().split(':');
    return ['client_secret_basic', decodeURIComponent(id.replaceAll('+', ' '))];
  }
  const id = form.get('client_id') ?? undefined;
  if (form.has('client_assertion')) return ['private_key_jwt', id];
  return [form.has('client_secret') ? 'client_secret_post' : 'none', id];
}

/** The log entry of a request, made before anything answers it. */
function describe(ctx, on, body) {
  const entry = {
    on, method: ctx.method, path: ctx.req.fullUrl, at: new Date(realNow()).toISOString(),
    uptime_ms: Math.round(performance.now()), status: null,
  };
  if (on === 'token' || on === 'revoke' || on === 'device' || on === 'push') {
    const form = new URLSearchParams(body);
    const resource = form.getAll('resource');
    const [auth_method, client_id] = clientAuthentication(ctx.get('authorization'), form);
    Object.assign(entry, {
      auth_method,
      client_id,
      parameters: [...form.keys()],
      resource: resource.length > 1 ? resource : (resource[0] ?? null),
    });
    if (on === 'token') {
      entry.grant_type = form.get('grant_type');
      entry.scope = form.get('scope');
    } else if (on === 'revoke') {
      entry.token_type_hint = form.get('token_type_hint');
      entry.token_sha256 = sha256(form.get('token') ?? '');
    }
    const presented = form.get('refresh_token');
    if (presented) {
      entry.refresh_sha256 = sha256(presented);
      entry.already_used = tokens.wasUsed(presented);
    }
  } else if (on === 'authorize') {
    entry.parameters = Object.fromEntries(Object.entries(ctx.query));
  } else if (on === 'register' && body) {
    try {
      entry.metadata = JSON.parse(body);
    } catch {
      entry.metadata = body;
    }
  }
  return entry;
}

const SECRET = [
  'access_token', 'refresh_token', 'id_token', 'code', 'code_verifier', 'state', 'client_secret',
  'registration_access_token', 'device_code',
];

/** Remembers the secrets among the fields of a request or an answer. */
function remember(fields) {
  for (const name of SECRET) {
    if (typeof fields?.[name] === 'string') (secrets[name] ??= new Set()).add(fields[name]);
  }
}

function countArrival(entry) {
  if (entry.on === 'authorize') counts.add('authorize_requests');
  if (entry.on === 'discovery') counts.add('discovery_requests');
  if (entry.on !== 'token') return;
  counts.add('token_requests');
  if (entry.grant_type === 'refresh_token') counts.add('refresh_requests');
  if (entry.grant_type === 'authorization_code') counts.add('code_requests');
  if (entry.already_used) counts.add('reuse_presented');
}

function countOutcome(entry, ctx) {
  const ok = ctx.status < 400;
  if (entry.on === 'register' && ctx.method === 'POST') {
    counts.add(ok ? 'registrations' : 'registrations_refused');
  }
  if (entry.on === 'revoke' && ok) counts.add('revocations');
  if (entry.on !== 'token') return;
  if (entry.grant_type === 'refresh_token') counts.add(ok ? 'refresh_ok' : 'refresh_rejected');
  if (entry.grant_type === 'authorization_code') {
    counts.add(ok ? 'authorization_code_grants' : 'authorization_code_rejected');
  }
  if (!ok) entry.error = ctx.body?.error;
  if (!ok || !ctx.body?.access_token) return;
  entry.access_sha256 = sha256(ctx.body.access_token);
  entry.generation = tokens.check(ctx.body.access_token).generation;
  if (ctx.body.refresh_token) entry.issued_refresh_sha256 = sha256(ctx.body.refresh_token);
}

function changeIss(ctx, issuer) {
  const location = ctx.response.get('location');
  if (mode.iss === 'normal' || !location?.includes('iss=')) return;
  const target = new URL(location);
  if (mode.iss === 'omit') target.searchParams.delete('iss');
  else target.searchParams.set('iss', `${issuer}/elsewhere`);
  ctx.set('location', target.href);
}

/** Wraps the real server: writes the log, counts, and lets faults in before or after it. */
function watched(issuer) {
  return async (ctx, next) => {
    const on = endpointOf(ctx.method, ctx.path);
    if (on === 'other') {
      await next();
      changeIss(ctx, issuer);
      return;
    }
    let body;
    if (ctx.method === 'POST' || ctx.method === 'PUT') {
      body = (await readBody(ctx.req)).toString();
      ctx.req.body = body;
    }
    const entry = describe(ctx, on, body);
    log.push(entry);
    remember(on === 'authorize' ? ctx.query : Object.fromEntries(new URLSearchParams(body)));
    ctx.state.entry = entry;
    const fault = faults.take({ on, grant_type: entry.grant_type, client_id: entry.client_id });
    if (fault) {
      entry.fault = fault.kind;
      counts.add('faults_injected');
    }
    countArrival(entry);
    if (await answerBefore(fault, ctx.res, gate)) {
      entry.status = ctx.res.headersSent ? ctx.res.statusCode : null;
      ctx.respond = false;
      return;
    }
    if (ctx.res.destroyed) return;
    if (on === 'authorize' && mode.default_scope && !ctx.query.scope
      && !ctx.query.request_uri) {
      ctx.query = { ...ctx.query, scope: mode.scopes.join(' ') };
    }
    if ((on === 'device' || on === 'push') && mode.default_scope
      && !new URLSearchParams(body).has('scope')) {
      ctx.req.body = `${body}&scope=${encodeURIComponent(mode.scopes.join(' '))}`;
    }
    await next();
    entry.status = ctx.status;
    if (on === 'register' && typeof ctx.body === 'object') {
      entry.client_id = ctx.body.client_id;
    }
    countOutcome(entry, ctx);
    remember(ctx.body);
    if (on === 'authorize') changeIss(ctx, issuer);
    if (await answerAfter(fault, ctx, gate)) ctx.respond = false;
  };
}

/** Signs the account in and gives consent without a person: a browser only follows redirects. */
async function interact(provider, req, res) {
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  const accountId = params.login_hint ?? mode.account;
  if (mode.consent === 'deny') {
    const refusal = { error: 'access_denied', error_description: 'the user said no' };
    await provider.interactionFinished(req, res, refusal);
    return;
  }
  if (prompt.name === 'login') {
    await provider.interactionFinished(req, res, { login: { accountId } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(['openid', 'offline_access'].join(' '));
  for (const resource of [params.resource ?? []].flat()) {
    grant.addResourceScope(resource, mode.scopes.join(' '));
  }
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
}

/** The well-known addresses at which the metadata is served, for the chosen issuer path. */
function metadataAddresses(prefix) {
  const all = {
    oauth: `/.well-known/oauth-authorization-server${prefix}`,
    oidc_insert: `/.well-known/openid-configuration${prefix}`,
    oidc_append: `${prefix}/.well-known/openid-configuration`,
  };
  return new Set(mode.metadata.map((name) => all[name]));
}

async function main() {
  const prefix = mode.path.replace(/\/$/, '');
  const server = http.createServer();
  const seen = mode.wiretap ? wiretap(server) : undefined;
  const url = await listen(server, mode.port);
  const issuer = `${url}${prefix}`;
  const provider = new Provider(issuer, settings(prefix, await signingKey()));
  const { redirectUriAllowed } = provider.Client.prototype;
  provider.Client.prototype.redirectUriAllowed = function allowed(uri) {
    if (mode.exact_redirect) return this.redirectUris.includes(uri);
    return redirectUriAllowed.call(this, uri);
  };
  provider.use(watched(issuer));
  provider.on('grant.error', (ctx, error) => {
    ctx.state.entry.error_detail = error.error_detail;
    if (error.error_detail === 'refresh token already used') counts.add('reuse_events');
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  const handle = provider.callback();
  const metadata = metadataAddresses(prefix);

  server.on('connection', (socket) => {
    if (!faults.take({ on: 'connect', kind: 'reset_connect' })) return;
    counts.add('faults_injected');
    socket.resetAndDestroy();
  });
  server.on('request', (req, res) => {
    const [path] = req.url.split('?');
    req.fullUrl = path;
    if (path.startsWith(`${prefix}/interaction/`)) {
      interact(provider, req, res).catch((error) => {
        res.writeHead(400, { 'content-type': 'text/plain' });
        res.end(String(error));
      });
      return;
    }
    if (metadata.has(path)) req.url = '/.well-known/oauth-authorization-server';
    else if (path.includes('/.well-known/')) req.url = '/no/.well-known/here';
    else if (path.startsWith(`${prefix}/`)) req.url = req.url.slice(prefix.length);
    req.originalUrl = prefix + req.url;
    handle(req, res);
  });

  const check = (token) => {
    const answer = tokens.check(token ?? '');
    counts.add('checks');
    if (!answer.active) counts.add('checks_refused');
    return answer;
  };
  const control = await startControl({
    counts,
    log,
    faults,
    gate,
    routes: {
      'GET /check': (_body, query) => check(query.get('token')),
      'POST /check': (body) => check(body.token),
      'GET /mode': () => mode,
      'POST /seen': (body) => seen(body),
      'POST /mode': (body) => Object.assign(mode, body),
      'POST /advance': (body) => {
        shift += body.seconds * 1000;
        return { now: new Date(Date.now()).toISOString() };
      },
      'POST /expire-access-tokens': () => ({ expired: tokens.expireAccess() }),
      'POST /expire-refresh-tokens': () => ({ expired: tokens.forget('RefreshToken') }),
      'POST /revoke-grants': () => ({ revoked: tokens.forget('Grant') }),
      'POST /forget-clients': () => ({ forgotten: tokens.forget('Client') }),
      'GET /secrets': () => Object.fromEntries(
        Object.entries(secrets).map(([name, values]) => [name, [...values]]),
      ),
      'POST /close': () => {
        server.close();
        server.closeAllConnections();
        return {};
      },
      'POST /open': async () => ({ url: await listen(server, new URL(url).port) }),
      'POST /on-device': (body) => enterCode(body.url, body.answer ?? 'confirm'),
      'POST /sign-in': (body) => signIn(body.url, url, body.deliver ?? false),
    },
  });
  console.log(JSON.stringify({ ready: true, url, issuer, control, pid: process.pid }));
}

exitWithParent();
await main();
