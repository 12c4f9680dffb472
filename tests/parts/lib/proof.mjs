// Proofs of possession (RFC 9449 §4.3), checked as a strict resource would.

import { createHash } from 'node:crypto';

import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose';

const seen = new Set();

/**
 * Undefined when `req` proves possession of the key with the thumbprint `jkt` for `token`, else
 * why not. `nonce` is what the proof has to repeat, or null.
 */
export async function unproved(req, url, token, jkt, nonce) {
  const proofs = req.headersDistinct.dpop ?? [];
  if (proofs.length !== 1) return 'proof_missing';
  let payload;
  let key;
  try {
    const verified = await jwtVerify(proofs[0], EmbeddedJWK, {
      typ: 'dpop+jwt', algorithms: ['ES256'], maxTokenAge: 60, clockTolerance: 5,
    });
    payload = verified.payload;
    key = verified.protectedHeader.jwk;
  } catch (error) {
    return `proof_${error.code ?? error}`;
  }
  if ('d' in key) return 'proof_shows_the_key';
  if (nonce && payload.nonce !== nonce) return 'nonce';
  if (payload.htm !== req.method) return 'proof_method';
  if (payload.htu !== url) return 'proof_url';
  if (payload.ath !== createHash('sha256').update(token).digest('base64url')) return 'proof_token';
  if (await calculateJwkThumbprint(key) !== jkt) return 'proof_key';
  if (seen.has(payload.jti)) return 'proof_again';
  seen.add(payload.jti);
  return undefined;
}
