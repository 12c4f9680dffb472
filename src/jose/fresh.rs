//! What makes each statement one of its kind.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::clock::{Clock, Random};

/// The time, and ids that nobody has used before.
#[derive(Clone)]
pub struct Freshness {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Freshness {
    /// Takes the time from `clock` and ids from `random`.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// The present time in seconds, as `iat` and `exp` have it (RFC 7519 §2, `NumericDate`).
    pub fn seconds(&self) -> u64 {
        self.clock.now().as_millis() / 1000
    }

    /// An id of 128 random bits for `jti` (RFC 7519 §4.1.7).
    pub fn id(&self) -> String {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        Base64UrlUnpadded::encode_string(&bytes)
    }
}

impl fmt::Debug for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Freshness")
    }
}
