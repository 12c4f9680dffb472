//! Our own calls: small exchanges with authorization servers and probes of upstreams. The one
//! place where awc clients are built. A fault says whether the request may have reached the
//! server, because a refresh token that may have arrived must not be treated as unused.
//!
//! awc is kept away from what it does wrong (dependencies.md rule 2): every call has a client of
//! its own, so that no answer can reach another caller and no stale connection is used; only
//! HTTP/1.1 is offered; lengths are checked here; an interim answer is a fault.

mod address;
mod client;
#[cfg(test)]
pub(crate) mod fake;
mod message;
mod names;
mod retry_after;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;

pub use address::{Reach, Zone, is_this_machine, zone};
pub use client::{OwnClient, Timeouts};
pub use message::{Answer, BodyPolicy, Request};
pub use names::Names;
pub use retry_after::{MAX_RETRY_AFTER, retry_after};
pub use tls::{TlsFault, TlsSettings, client_config, install_crypto_provider};

/// At most this much of a token, registration or revocation answer is read.
pub const TOKEN_BODY_LIMIT: usize = 64 * 1024;
/// At most this much of a metadata document is read.
pub const METADATA_BODY_LIMIT: usize = 512 * 1024;

/// Why a request brought no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportFault {
    /// It certainly did not reach the server.
    #[error(transparent)]
    NotSent(#[from] NotSent),
    /// It may have reached the server, and may have had its effect.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Why a request was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The name has no address.
    #[error("no address for {0}")]
    Name(String),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The peer did not prove who it is, or no trusted certificates are known here.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The address lies where its source may not send us.
    #[error("{0} is not a public address, and was not named by the configuration")]
    Forbidden(String),
    /// It is not an address of a server.
    #[error("{0} is not an address of a server")]
    Address(String),
}

/// What became of a request that may have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No whole answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended within the exchange.
    #[error("the connection broke")]
    Broken,
    /// More than may be read.
    #[error("the answer is too long")]
    TooLarge,
    /// Not HTTP.
    #[error("the answer is not HTTP")]
    Unreadable,
    /// An interim answer, which hides the final one.
    #[error("the server sent an interim answer {0}")]
    Interim(u16),
    /// HTTP/1.1 without a length: awc gives no body then.
    #[error("the answer does not say how long it is")]
    Unframed,
}
