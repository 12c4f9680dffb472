//! Signed statements: JSON Web Signatures in their compact form (RFC 7515 §7.1) with keys that
//! were made elsewhere or here. The signatures are those of ring, which signs TLS here as well.

mod dpop;
mod fresh;
mod key;
#[cfg(test)]
mod tests;

pub use dpop::{Prover, TokenHash};
pub use fresh::Freshness;
pub use key::{Algorithm, KeyFault, SigningKey};
