// An MCP server of the revision without sessions (2026-07-28), made with the official TypeScript SDK v2.
// The same server answers clients of the revisions before, also without sessions. Started by
// resource_server.mjs in the place of server-everything; listens on a free port of 127.0.0.1 and says
// which one; whenever its parent says anything, it has one more tool and tells who listens.

import http from 'node:http';

import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

/** How many tools there are beside `echo`. */
let others = 5;

function create() {
  const server = new McpServer({ name: 'parts-stateless', version: '1.0.0' });
  for (let n = 1; n <= others; n += 1) {
    server.registerTool(`other-${n}`, { description: 'Says nothing' }, () => ({ content: [] }));
  }
  server.registerTool('echo', {
    description: 'Echoes back the input', inputSchema: z.object({ message: z.string() }),
  }, async ({ message }) => ({ content: [{ type: 'text', text: `Echo: ${message}` }] }));
  return server;
}

const handler = createMcpHandler(create);
const server = http.createServer(toNodeHandler(handler));
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));

process.on('message', () => {
  others += 1;
  handler.notify.toolsChanged();
});
process.on('disconnect', () => process.exit());
