// A stand-in for four vendors' models: it calls the tool `echo` as often as it is told, and then says
// what the tool answered. Before each call it waits for `before(n)`, which may do something to doorward.

import http from 'node:http';

const read = (request) => new Promise((resolve, reject) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => resolve(Buffer.concat(parts).toString()));
  request.on('error', reject);
});

const events = (response, all) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of all) {
    const { name, ...data } = event;
    if (name) response.write(`event: ${name}\n`);
    response.write(`data: ${typeof event.raw === 'string' ? event.raw : JSON.stringify(data)}\n\n`);
  }
  response.end();
};

const json = (response, body) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

/** The name under which a program offers the tool. */
const echoOf = (names) => names.find((name) => /(^|[_-])echo$/.test(name) && /ev/.test(name))
  ?? names.find((name) => /(^|[_-])echo$/.test(name))
  // What there is in its place while nobody has signed in.
  ?? names.find((name) => /(^|[_-])sign_in$/.test(name));

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value ?? ''));

/** What each vendor's request says: the tools and the results of tools, and how to answer it. */
const vendors = {
  anthropic: {
    is: (path) => path.startsWith('/v1/messages'),
    tools: (body) => (body.tools ?? []).map((tool) => tool.name),
    results: (body) => (body.messages ?? [])
      .flatMap((message) => (Array.isArray(message.content) ? message.content : []))
      .filter((part) => part.type === 'tool_result').map((part) => text(part.content)),
    answer: (response, body, call, says) => {
      const block = call
        ? { type: 'tool_use', id: `toolu_${call.n}`, name: call.tool, input: {} }
        : { type: 'text', text: '' };
      const delta = call
        ? { type: 'input_json_delta', partial_json: JSON.stringify(call.input) }
        : { type: 'text_delta', text: says };
      const stop = call ? 'tool_use' : 'end_turn';
      const message = {
        id: 'msg_1', type: 'message', role: 'assistant', model: body.model, content: [],
        stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 },
      };
      if (!body.stream) {
        const content = call ? [{ ...block, input: call.input }] : [{ type: 'text', text: says }];
        json(response, { ...message, content, stop_reason: stop });
        return;
      }
      events(response, [
        { name: 'message_start', type: 'message_start', message },
        { name: 'content_block_start', type: 'content_block_start', index: 0, content_block: block },
        { name: 'content_block_delta', type: 'content_block_delta', index: 0, delta },
        { name: 'content_block_stop', type: 'content_block_stop', index: 0 },
        {
          name: 'message_delta', type: 'message_delta',
          delta: { stop_reason: stop, stop_sequence: null }, usage: { output_tokens: 1 },
        },
        { name: 'message_stop', type: 'message_stop' },
      ]);
    },
  },
  responses: {
    is: (path) => path.endsWith('/responses'),
    tools: (body) => (body.tools ?? []).flatMap((tool) => (
      tool.type === 'namespace' ? (tool.tools ?? []).map((it) => ({ name: it.name, space: tool.name })) : [tool]
    )).map((tool) => tool.name).filter(Boolean),
    results: (body) => (Array.isArray(body.input) ? body.input : [])
      .filter((item) => item.type === 'function_call_output').map((item) => text(item.output)),
    answer: (response, body, call, says) => {
      const space = (body.tools ?? []).find((tool) => (
        tool.type === 'namespace' && (tool.tools ?? []).some((it) => it.name === call?.tool)
      ));
      const item = call
        ? {
          type: 'function_call', id: `fc_${call.n}`, call_id: `call_${call.n}`, name: call.tool,
          ...(space ? { namespace: space.name } : {}), arguments: JSON.stringify(call.input),
        }
        : {
          type: 'message', id: 'msg_1', role: 'assistant',
          content: [{ type: 'output_text', text: says, annotations: [] }],
        };
      const done = {
        id: 'resp_1', object: 'response', output: [item],
        usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 },
      };
      events(response, [
        { name: 'response.created', type: 'response.created', response: { id: 'resp_1' } },
        { name: 'response.output_item.done', type: 'response.output_item.done', output_index: 0, item },
        { name: 'response.completed', type: 'response.completed', response: done },
      ]);
    },
  },
  chat: {
    is: (path) => path.endsWith('/chat/completions'),
    tools: (body) => (body.tools ?? []).map((tool) => tool.function?.name).filter(Boolean),
    results: (body) => (body.messages ?? [])
      .filter((message) => message.role === 'tool').map((message) => text(message.content)),
    answer: (response, body, call, says) => {
      const delta = call
        ? {
          role: 'assistant', content: null, tool_calls: [{
            index: 0, id: `call_${call.n}`, type: 'function',
            function: { name: call.tool, arguments: JSON.stringify(call.input) },
          }],
        }
        : { role: 'assistant', content: says };
      const stop = call ? 'tool_calls' : 'stop';
      const base = { id: 'c_1', object: 'chat.completion.chunk', created: 1, model: body.model };
      if (!body.stream) {
        json(response, { ...base, object: 'chat.completion', choices: [{ index: 0, message: delta, finish_reason: stop }] });
        return;
      }
      events(response, [
        { ...base, choices: [{ index: 0, delta, finish_reason: null }] },
        {
          ...base, choices: [{ index: 0, delta: {}, finish_reason: stop }],
          usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
        },
        { raw: '[DONE]' },
      ]);
    },
  },
  gemini: {
    is: (path) => /:(stream)?[gG]enerateContent/.test(path),
    tools: (body) => (body.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? [])
      .map((tool) => tool.name),
    results: (body) => (body.contents ?? []).flatMap((content) => content.parts ?? [])
      .filter((part) => part.functionResponse).map((part) => text(part.functionResponse.response)),
    answer: (response, body, call, says, path) => {
      const part = call
        ? { functionCall: { id: `call_${call.n}`, name: call.tool, args: call.input } }
        : { text: says };
      const answer = {
        candidates: [{ index: 0, content: { role: 'model', parts: [part] }, finishReason: 'STOP' }],
        usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
      };
      if (path.includes('stream')) events(response, [answer]);
      else json(response, answer);
    },
  },
};

/**
 * Starts it. `calls`: how often the tool is called; `before(n)`: awaited before the call of number n.
 * `seen()`: what the tool answered, as the program showed it to the model, the tools that it offered, and
 * after how many milliseconds it first asked.
 */
export async function model({ calls, before = async () => {} }) {
  const since = Date.now();
  const seen = { results: [], offered: [], asked: [], began: null };
  const server = http.createServer(async (request, response) => {
    const path = request.url ?? '';
    const body = await read(request);
    seen.asked.push(`${request.method} ${path}`);
    const vendor = Object.values(vendors).find((it) => it.is(path));
    if (request.method !== 'POST' || !vendor) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{}');
      return;
    }
    if (path.includes('count_tokens')) {
      json(response, { input_tokens: 1 });
      return;
    }
    seen.began ??= Date.now() - since;
    const asked = JSON.parse(body || '{}');
    const results = vendor.results(asked);
    // A tool may have gone while the model thought of it; programs tell which one it may have meant.
    const [, meant] = /Did you mean.*?(\w*echo)\b/.exec(results.at(-1) ?? '') ?? [];
    const tool = meant ?? echoOf(vendor.tools(asked));
    if (results.length > seen.results.length) seen.results = results;
    // Titles and summaries are asked for without tools.
    if (tool && !seen.offered.includes(tool)) seen.offered.push(tool);
    const n = results.length;
    const call = tool && n < calls ? { n, tool, input: { message: `hello ${n}` } } : null;
    if (call) await before(n);
    vendor.answer(response, asked, call, tool ? 'That was all.' : 'A title', path);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    seen: () => seen,
    close: () => { server.closeAllConnections(); server.close(); },
  };
}
