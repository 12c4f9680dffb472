// Disturbances that a test asks for: instead of the real server's answer, or upon it.

import { sendJson } from './control.mjs';

/** Faults asked for by the test; the first that matches a request and has times left applies. */
export class Faults {
  #faults = [];

  add(fault) {
    const times = fault.times === 'always' ? Infinity : (fault.times ?? 1);
    this.#faults.push({ ...fault, times, skip: fault.skip ?? 0 });
  }

  clear() {
    this.#faults = [];
  }

  left() {
    return this.#faults.map((fault) => ({
      ...fault,
      times: Number.isFinite(fault.times) ? fault.times : 'always',
    }));
  }

  /** `facts` describe the request; a fault applies when each fact it names is equal. */
  take(facts) {
    const found = this.#faults.find((fault) => Object.keys(facts)
      .every((key) => fault[key] === undefined || fault[key] === facts[key]));
    if (!found) return undefined;
    if (found.skip > 0) {
      found.skip -= 1;
      return undefined;
    }
    found.times -= 1;
    if (found.times <= 0) this.#faults.splice(this.#faults.indexOf(found), 1);
    return found;
  }
}

/**
 * Answers from faults that never reach the real server. Returns true when the request is dealt
 * with; a `hold_before` that was released returns false, so that the request goes on.
 */
export async function answerBefore(fault, res, gate) {
  switch (fault?.kind) {
    case 'status': {
      const body = typeof fault.body === 'object' ? JSON.stringify(fault.body) : (fault.body ?? '');
      res.writeHead(fault.status, fault.headers ?? {});
      res.end(body);
      return true;
    }
    case 'reset_before':
      res.socket.resetAndDestroy();
      return true;
    case 'hang':
      await gate.hold(res);
      res.destroy();
      return true;
    case 'hold_before':
      return !(await gate.hold(res));
    case 'empty':
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': 0 });
      res.end();
      return true;
    case 'broken_json':
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end('{"access_token":"half');
      return true;
    case 'cut_short':
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': 400 });
      res.write('{"access_token":"half', () => res.socket.destroy());
      return true;
    case 'error_200':
      sendJson(res, 200, fault.body ?? { error: 'temporarily_unavailable' });
      return true;
    default:
      return false;
  }
}

/** Faults that change an answer of the real server; true when the answer is sent already. */
export async function answerAfter(fault, ctx, gate) {
  const { res } = ctx;
  const text = () => (typeof ctx.body === 'object' ? JSON.stringify(ctx.body) : String(ctx.body));
  switch (fault?.kind) {
    case 'hold_after':
      return !(await gate.hold(res));
    case 'reset_after':
      res.socket.resetAndDestroy();
      return true;
    case 'truncated': {
      const body = text();
      res.writeHead(ctx.status, {
        'content-type': 'application/json', 'content-length': Buffer.byteLength(body),
      });
      res.write(body.slice(0, Math.floor(body.length / 2)), () => res.socket.destroy());
      return true;
    }
    case 'slow': {
      const body = text();
      res.writeHead(ctx.status, { 'content-type': 'application/json' });
      const parts = fault.parts ?? 4;
      const size = Math.ceil(body.length / parts);
      for (let from = 0; from < body.length; from += size) {
        res.write(body.slice(from, from + size));
        await new Promise((resolve) => { setTimeout(resolve, fault.delay_ms ?? 50); });
      }
      res.end();
      return true;
    }
    case 'drop_refresh_token':
      delete ctx.body.refresh_token;
      return false;
    case 'expires_as_string':
      ctx.body.expires_in = String(ctx.body.expires_in);
      return false;
    case 'expires_float':
      ctx.body.expires_in += 0.5;
      return false;
    case 'no_token_type':
      delete ctx.body.token_type;
      return false;
    case 'scope_array':
      ctx.body.scope = (ctx.body.scope ?? '').split(' ').filter(Boolean);
      return false;
    case 'patch':
      ctx.body = { ...ctx.body, ...fault.set };
      for (const key of fault.remove ?? []) delete ctx.body[key];
      return false;
    default:
      return false;
  }
}
