// What the suite runs as "the client": a throw-away doorward on the suite's server, a person who
// signs in to it, and an agent that calls through it.
//
//   node driver.mjs SERVER_URL      (with the variables of the suite, and DOORWARD_BIN)

import { connect } from './lib/agent.mjs';
import { Daemon } from './lib/daemon.mjs';
import { signIn } from './lib/person.mjs';
import { CORE } from './lib/core.mjs';

const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const url = process.argv.at(-1);

/** More often than anybody would, so that it is doorward that ends a loop. */
const PATIENCE = 6;

/** What a person would write under [upstreams.up.auth] for this server. */
function auth() {
  if (!scenario.startsWith('auth/')) return { kind: 'none' };
  switch (scenario) {
    case 'auth/basic-cimd':
      return { client_metadata_url: 'https://conformance-test.local/client-metadata.json' };
    case 'auth/pre-registration':
      return {
        client_id: context.client_id,
        client_secret: { env: 'CLIENT_SECRET' },
        issuer: context.issuer,
      };
    case 'auth/2025-03-26-oauth-metadata-backcompat':
    case 'auth/2025-03-26-oauth-endpoint-fallback':
      return { legacy_2025_03_26: true };
    case 'auth/client-credentials-basic':
      return {
        kind: 'client_credentials',
        client_id: context.client_id,
        client_secret: { env: 'CLIENT_SECRET' },
      };
    case 'auth/client-credentials-jwt':
      return {
        kind: 'client_credentials',
        client_id: context.client_id,
        private_key: { env: 'PRIVATE_KEY' },
      };
    case 'auth/enterprise-managed-authorization':
      return {
        kind: 'token_exchange',
        client_id: context.client_id,
        client_secret: { env: 'CLIENT_SECRET' },
        idp: {
          token_endpoint: context.idp_token_endpoint,
          client_id: context.idp_client_id,
          subject_token: { env: 'ASSERTION' },
        },
      };
    case 'auth/wif-jwt-bearer':
      return {
        kind: 'jwt_bearer',
        client_id: context.client_id,
        assertion: { env: 'ASSERTION' },
      };
    default:
      return {};
  }
}

function toml(value) {
  if (typeof value !== 'object') return JSON.stringify(value);
  const pairs = Object.entries(value).map(([name, inner]) => `${name} = ${toml(inner)}`);
  return `{ ${pairs.join(', ')} }`;
}

async function person(daemon, args) {
  const { code, err } = await signIn(daemon, args);
  if (code !== 0) throw new Error(`doorward login ${args.join(' ')}: exit code ${code}\n${err}`);
}

/** The command that an answer tells the person to run, as arguments of `login`. */
function told(text) {
  // The command names this daemon's own state directory, which the person's does anyhow.
  const fix =
    /"fix\\*":\\*"doorward (?:--\S+ \S+ )*login ([^"\\]+)/.exec(text) ??
    /Next: doorward (?:--\S+ \S+ )*login ([^"\\\n]+)/.exec(text);
  return fix?.[1].trim().split(/ +/);
}

/** Calls until it works, doing what the answers ask of a person. */
async function persistently(daemon, call) {
  for (let attempt = 1; ; attempt += 1) {
    let trouble;
    try {
      const result = await call();
      if (!result?.isError) return result;
      trouble = new Error(JSON.stringify(result.content));
    } catch (error) {
      trouble = error;
    }
    console.error(`attempt ${attempt}: ${trouble.message}`);
    const args = told(`${trouble.message} ${JSON.stringify(trouble.data ?? '')}`);
    if (!args || attempt === PATIENCE) throw trouble;
    await person(daemon, args);
  }
}

async function main() {
  const daemon = await Daemon.start(
    `[login]\nhold = "off"\n[upstreams.up]\nurl = ${JSON.stringify(url)}\nauth = ${toml(auth())}\n`,
    {
      CLIENT_SECRET: context.client_secret ?? '',
      PRIVATE_KEY: context.private_key_pem ?? '',
      ASSERTION: context.idp_id_token ?? context.valid_jwt ?? '',
    },
  );
  try {
    const endpoint = `${daemon.url}/u/up`;
    const credential = await daemon.mint();
    const core = CORE[scenario];
    if (core) return await core({ url: endpoint, credential, revision, context });
    // A client of its own signs in by itself.
    if ((auth().kind ?? 'oauth') === 'oauth') await person(daemon, ['up']);
    const client = await persistently(daemon, () => connect(endpoint, credential, { revision }));
    await persistently(daemon, () => client.listTools());
    await persistently(daemon, () => client.callTool({ name: 'test-tool', arguments: {} }));
    await client.close();
  } finally {
    await daemon.stop();
  }
}

await main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
