//! Proofs of possession (RFC 9449 §4): each request says, signed, that whoever sends it holds the
//! key that its token is bound to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Freshness, KeyFault, SigningKey};
use crate::model::secret::{AccessToken, PrivateKey};

/// How many servers a nonce is remembered of: the authorization server and the resource, and one
/// more where either moved.
const MOST_NONCES: usize = 8;
/// A longer nonce is none.
const LONGEST_NONCE: usize = 1024;

/// Makes proofs with one key. It remembers the latest nonce of each server (RFC 9449 §8.2).
pub struct Prover {
    key: SigningKey,
    jwk: Value,
    fresh: Freshness,
    nonces: Mutex<BTreeMap<String, String>>,
}

/// What of an access token goes into the proofs that are sent with it (`ath`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHash(String);

impl TokenHash {
    /// Of this token (RFC 9449 §4.2).
    pub fn of(token: &AccessToken) -> Self {
        Self(Base64UrlUnpadded::encode_string(&Sha256::digest(
            token.expose(),
        )))
    }
}

impl Prover {
    /// Proves with `key`, one on P-256: what servers take by RFC 9449 §5 is ES256 first of all.
    pub fn new(key: &PrivateKey, fresh: Freshness) -> Result<Self, KeyFault> {
        let key = SigningKey::read(key)?;
        Ok(Self {
            jwk: key.jwk().ok_or(KeyFault::Kind)?,
            key,
            fresh,
            nonces: Mutex::new(BTreeMap::new()),
        })
    }

    /// The proof of one request with `method` to `url`, which has no query and no fragment; with
    /// the hash of the token where one goes with it.
    pub fn proof(
        &self,
        method: &str,
        origin: &str,
        url: &str,
        token: Option<&TokenHash>,
    ) -> Result<String, KeyFault> {
        let mut header = Map::new();
        header.insert("typ".to_owned(), "dpop+jwt".into());
        header.insert("jwk".to_owned(), self.jwk.clone());
        let mut claims = Map::new();
        claims.insert("jti".to_owned(), self.fresh.id().into());
        claims.insert("htm".to_owned(), method.into());
        claims.insert("htu".to_owned(), url.into());
        claims.insert("iat".to_owned(), self.fresh.seconds().into());
        if let Some(TokenHash(hash)) = token {
            claims.insert("ath".to_owned(), hash.as_str().into());
        }
        if let Some(nonce) = self.nonces().get(origin) {
            claims.insert("nonce".to_owned(), nonce.as_str().into());
        }
        self.key.sign(header, &claims)
    }

    /// Remembers what the server at `origin` wants in the next proof.
    pub fn remember(&self, origin: &str, nonce: &str) {
        // RFC 9449 §8.1: visible characters, none of them a quote or a backslash.
        let fits = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\');
        if nonce.is_empty() || nonce.len() > LONGEST_NONCE || !nonce.bytes().all(fits) {
            return;
        }
        let mut nonces = self.nonces();
        if nonces.len() >= MOST_NONCES && !nonces.contains_key(origin) {
            nonces.clear();
        }
        nonces.insert(origin.to_owned(), nonce.to_owned());
    }

    fn nonces(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        // Nothing is done under the lock that could leave the map half changed.
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prover")
    }
}
