// The agent behind doorward: a client of the official SDK that knows a local address and a local
// credential, and nothing of OAuth.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

export async function connect(url, credential, { revision, capabilities = {}, prepare }) {
  const modern = revision >= '2026-07-28';
  const client = new Client(
    { name: 'doorward-conformance', version: '1.0.0' },
    { capabilities, versionNegotiation: { mode: modern ? { pin: revision } : 'legacy' } },
  );
  await prepare?.(client);
  const headers = credential ? { authorization: `Bearer ${credential}` } : {};
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport);
  return client;
}
