// Stands between the suite, which knows no credential, and doorward: adds the local credential
// and changes nothing else, `Host` and `Origin` least of all.

import { createServer, request as send } from 'node:http';

export class Forwarder {
  static async listen() {
    const forwarder = new Forwarder();
    forwarder.server = createServer((request, response) => forwarder.#forward(request, response));
    await new Promise((resolve) => forwarder.server.listen(0, '127.0.0.1', resolve));
    forwarder.authority = `127.0.0.1:${forwarder.server.address().port}`;
    return forwarder;
  }

  #forward(request, response) {
    const { hostname, port } = new URL(this.target);
    const headers = [...request.rawHeaders, 'authorization', `Bearer ${this.credential}`];
    const onward = send({
      hostname,
      port,
      method: request.method,
      path: request.url,
      headers: pairs(headers),
      setHost: false,
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** As an object, since node takes raw lists for answers only; nothing here comes twice. */
function pairs(raw) {
  const headers = {};
  for (let index = 0; index < raw.length; index += 2) headers[raw[index]] = raw[index + 1];
  return headers;
}
