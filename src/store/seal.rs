//! Sealed records: XChaCha20-Poly1305 under one key, bound to the place they belong to, so that
//! whoever can write the file can neither read a record nor pass one off as another.
//!
//! Layout: one byte of version, eight of key id, 24 of nonce, then the ciphertext with its tag.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::key::{KeyId, MasterKey};
use crate::clock::Random;

/// The version of the records' form; part of what is authenticated.
pub(super) const SCHEMA: u64 = 1;

const VERSION: u8 = 1;
const NONCE: usize = 24;
const HEADER: usize = 1 + KeyId::LEN + NONCE;

/// A record that this key did not seal for this place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Seals and opens records.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: KeyId,
    random: Arc<dyn Random>,
}

impl Sealer {
    pub(super) fn new(key: &MasterKey, random: Arc<dyn Random>) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.expose().into()),
            key_id: key.id(),
            random,
        }
    }

    /// Seals `plain` as the record `id` of `table`.
    pub(super) fn seal(&self, table: &str, id: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        self.random.fill(&mut nonce);
        let aad = self.associated(table, id);
        let payload = Payload {
            msg: plain,
            aad: &aad,
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a record is shorter than 256 GiB");
        let mut record = Vec::with_capacity(HEADER + sealed.len());
        record.push(VERSION);
        record.extend_from_slice(&self.key_id.0);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        record
    }

    /// Opens the record `id` of `table`.
    pub(super) fn open(
        &self,
        table: &str,
        id: &str,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let (header, sealed) = record.split_at_checked(HEADER).ok_or(Broken)?;
        let (version, rest) = header.split_at(1);
        let (key_id, nonce) = rest.split_at(KeyId::LEN);
        if version != [VERSION] || key_id != self.key_id.0 {
            return Err(Broken);
        }
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Broken)?;
        let aad = self.associated(table, id);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        self.cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Broken)
    }

    fn associated(&self, table: &str, id: &str) -> Vec<u8> {
        let mut aad = format!("doorward\0{SCHEMA}\0{table}\0{id}\0").into_bytes();
        aad.extend_from_slice(&self.key_id.0);
        aad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    fn sealer() -> Sealer {
        Sealer::new(&MasterKey::generate(&SystemRandom), Arc::new(SystemRandom))
    }

    #[test]
    fn a_record_opens_only_in_its_own_place_and_under_its_own_key() {
        let sealer = sealer();
        let record = sealer.seal("grants", "linear", b"plain");
        assert_eq!(
            sealer
                .open("grants", "linear", &record)
                .as_deref()
                .map(Vec::as_slice),
            Ok(&b"plain"[..])
        );
        assert_eq!(sealer.open("grants", "github", &record), Err(Broken));
        assert_eq!(sealer.open("clients", "linear", &record), Err(Broken));
        assert_eq!(
            self::sealer().open("grants", "linear", &record),
            Err(Broken)
        );
    }

    #[test]
    fn a_changed_or_cut_record_does_not_open() {
        let sealer = sealer();
        let record = sealer.seal("grants", "linear", b"plain");
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(sealer.open("grants", "linear", &changed), Err(Broken));
            assert_eq!(sealer.open("grants", "linear", &record[..at]), Err(Broken));
        }
    }

    #[test]
    fn the_same_record_is_sealed_differently_each_time() {
        let sealer = sealer();
        assert_ne!(sealer.seal("t", "i", b"p"), sealer.seal("t", "i", b"p"));
    }
}
