// Where the authorization server keeps its records: in memory, without bound, and strict. Two
// uses of one refresh token are told apart even when they arrive in the same instant.

import { sha256 } from './control.mjs';

const FAMILY = ['AccessToken', 'RefreshToken', 'AuthorizationCode'];

export class Tokens {
  #mode;
  #InvalidGrant;
  #onReuse;
  #models = new Map();
  #used = new Set();
  #generations = new Map();

  constructor(mode, InvalidGrant, onReuse) {
    this.#mode = mode;
    this.#InvalidGrant = InvalidGrant;
    this.#onReuse = onReuse;
  }

  /** The records of one kind: id to { payload, expires, dead, generation }. */
  #records(model) {
    if (!this.#models.has(model)) this.#models.set(model, new Map());
    return this.#models.get(model);
  }

  /** Whether this refresh token has been exchanged before, whatever became of its family. */
  wasUsed(refreshToken) {
    return this.#used.has(sha256(refreshToken));
  }

  /** Ends every access token issued so far. */
  expireAccess() {
    const all = ['AccessToken', 'ClientCredentials'].flatMap((kind) => [...this.#records(kind).values()]);
    const records = all.filter((record) => !record.dead);
    for (const record of records) record.dead = 'expired';
    return records.length;
  }

  /** Drops all records of one kind. */
  forget(model) {
    const { size } = this.#records(model);
    this.#records(model).clear();
    return size;
  }

  /** What a protected resource learns about an access token. */
  check(token) {
    const own = this.#records('ClientCredentials').get(token);
    const record = own ?? this.#records('AccessToken').get(token);
    if (!record) return { active: false, reason: 'unknown' };
    const { payload, generation } = record;
    const facts = {
      client_id: payload.clientId, aud: payload.aud ?? null, exp: payload.exp,
      scope: payload.scope ?? '', jkt: payload.jkt ?? null, account: payload.accountId, generation,
    };
    let reason = record.dead;
    if (payload.exp * 1000 <= Date.now()) reason ??= 'expired';
    if (!own && !this.#records('Grant').has(payload.grantId)) reason ??= 'revoked';
    return reason ? { active: false, reason, ...facts } : { active: true, ...facts };
  }

  #revokeFamily(grantId) {
    for (const model of FAMILY) {
      for (const [id, { payload }] of this.#records(model)) {
        if (payload.grantId === grantId) this.#records(model).delete(id);
      }
    }
  }

  #issueAccess(record) {
    const { grantId } = record.payload;
    record.generation = (this.#generations.get(grantId) ?? 0) + 1;
    this.#generations.set(grantId, record.generation);
    if (!this.#mode.kill_old_access) return;
    for (const other of this.#records('AccessToken').values()) {
      if (other !== record && other.payload.grantId === grantId) other.dead ??= 'superseded';
    }
  }

  #withinLeeway(record) {
    return Date.now() < record.consumed + this.#mode.reuse_leeway * 1000;
  }

  #consume(model, id) {
    const record = this.#records(model).get(id);
    const reused = model === 'RefreshToken' && record && 'consumed' in record;
    if (!record || (reused && !this.#withinLeeway(record))) {
      if (record) {
        this.#onReuse();
        this.#records('Grant').delete(record.payload.grantId);
        this.#revokeFamily(record.payload.grantId);
      }
      throw new this.#InvalidGrant('token already used');
    }
    record.consumed ??= Date.now();
    if (model === 'RefreshToken') this.#used.add(sha256(id));
  }

  #find(model, id) {
    const record = this.#records(model).get(id);
    if (!record || record.expires <= Date.now()) return undefined;
    if (!('consumed' in record)) return record.payload;
    if (model === 'RefreshToken' && this.#withinLeeway(record)) return record.payload;
    // On this mark the server ends the whole family.
    return { ...record.payload, consumed: Math.floor(record.consumed / 1000) };
  }

  /** A class with the storage interface that oidc-provider expects. */
  adapter() {
    const tokens = this;
    return class Adapter {
      constructor(model) {
        this.model = model;
      }

      get records() {
        return tokens.#records(this.model);
      }

      async upsert(id, payload, expiresIn) {
        const expires = expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000;
        const previous = this.records.get(id);
        const record = { ...previous, payload, expires };
        this.records.set(id, record);
        if (this.model === 'AccessToken' && !previous) tokens.#issueAccess(record);
      }

      async find(id) {
        return tokens.#find(this.model, id);
      }

      async findByUid(uid) {
        return [...this.records.values()].find(({ payload }) => payload.uid === uid)?.payload;
      }

      async findByUserCode(code) {
        return [...this.records.values()].find(({ payload }) => payload.userCode === code)?.payload;
      }

      async consume(id) {
        tokens.#consume(this.model, id);
      }

      async destroy(id) {
        this.records.delete(id);
      }

      async revokeByGrantId(grantId) {
        tokens.#revokeFamily(grantId);
      }
    };
  }
}
