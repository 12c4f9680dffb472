// The least that an OAuth client and a test need to say to the parts.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

export const REDIRECT = 'http://127.0.0.1:43210/callback';

export async function json(method, url, body, headers = {}) {
  const response = await fetch(url, {
    method,
    headers: body ? { 'content-type': 'application/json', ...headers } : headers,
    body: body && JSON.stringify(body),
  });
  return response.json();
}

export const get = (part, path) => json('GET', part.control + path);
export const post = (part, path, body = {}) => json('POST', part.control + path, body);

export const register = (metadata, extra = {}) => json('POST', metadata.registration_endpoint, {
  client_name: 'selfcheck',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: [REDIRECT],
  token_endpoint_auth_method: 'none',
  ...extra,
});

export async function token(metadata, form, headers = {}) {
  const response = await fetch(metadata.token_endpoint, {
    method: 'POST', body: new URLSearchParams(form), headers,
  });
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Some faults answer with something else; the caller looks at the text.
  }
  return { status: response.status, body, headers: response.headers };
}

export async function authorize(server, metadata, client, resource, more = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const url = new URL(metadata.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    state: 'the-state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    resource,
    ...more,
  });
  const { location } = await post(server, '/sign-in', { url: url.href });
  return { verifier, answer: new URL(location).searchParams, location };
}

export async function login(server, metadata, client, resource, more) {
  const { verifier, answer } = await authorize(server, metadata, client, resource, more);
  assert.equal(answer.get('state'), 'the-state');
  assert.equal(answer.get('iss'), server.issuer);
  assert.equal(answer.get('error'), null, answer.toString());
  const tokens = await token(metadata, {
    grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: REDIRECT,
    client_id: client.client_id, code_verifier: verifier, resource,
  });
  if (tokens.status !== 200) assert.fail(JSON.stringify((await get(server, '/log')).at(-1)));
  return tokens.body;
}

export const refresh = (metadata, client, refreshToken, resource) => token(metadata, {
  grant_type: 'refresh_token', refresh_token: refreshToken, client_id: client.client_id, resource,
});

export const metadataOf = (server) => json(
  'GET',
  `${server.url}/.well-known/oauth-authorization-server`,
);

export const check = (server, accessToken) => post(server, '/check', { token: accessToken });
