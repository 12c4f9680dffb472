//! Credentials of upstreams: when one is fresh, aging or expired.

use std::time::Duration;

use super::id::Generation;
use super::secret::{AccessToken, RefreshToken};
use super::time::Timestamp;

/// An access token and what is known about its life.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The token.
    pub access: AccessToken,
    /// When it was received, less the time the request took.
    pub issued: Timestamp,
    /// When it ends, if the authorization server said so.
    pub expires: Option<Timestamp>,
    /// Which one it is of its account.
    pub generation: Generation,
}

/// When credentials are refreshed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenPolicy {
    /// Refresh when this share of the life is left ...
    pub ahead: f64,
    /// ... but at least this long before the end, where the life allows ...
    pub ahead_min: Duration,
    /// ... and at most this long.
    pub ahead_max: Duration,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            ahead: 0.2,
            ahead_min: Duration::from_mins(1),
            ahead_max: Duration::from_mins(10),
        }
    }
}

/// The state of a credential at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and start a refresh.
    Aging,
    /// Wait for a refresh.
    Expired,
}

/// The answer of a token endpoint, understood.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// The access token.
    pub access: AccessToken,
    /// Its announced life, counted from `received`; `None` where nothing sensible was announced.
    pub expires_in: Option<Duration>,
    /// The new refresh token. `None` means: go on with the one there is (RFC 6749 §6).
    pub refresh: Option<RefreshToken>,
    /// The scopes granted; `None` means: those asked for (RFC 6749 §5.1).
    pub scopes: Option<Vec<String>>,
    /// Who signed in, where an `id_token` told; for display only.
    pub identity: Option<String>,
    /// When the answer came, less the time the request took.
    pub received: Timestamp,
}
