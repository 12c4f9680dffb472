//! What can go wrong between the daemon, authorization servers and upstreams, as enums that say
//! what may be done about it.

mod command;

use std::time::Duration;

pub use command::CommandFault;

use super::secret::RefreshToken;
use super::time::Timestamp;

/// An error code of a token endpoint (RFC 6749 §5.2), as sent, with control characters removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthCode(pub String);

impl OauthCode {
    /// Whether it retires what was presented, or whoever did (RFC 6749 §5.2; decision D7).
    pub fn is_final(&self) -> bool {
        const FINAL: [&str; 3] = ["invalid_grant", "invalid_client", "unauthorized_client"];
        FINAL.contains(&self.0.as_str())
    }
}

/// Why a token request brought no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshFailure {
    /// The authorization server said a definite no (decision D7: `invalid_grant`,
    /// `invalid_client`, `unauthorized_client`).
    #[error("the authorization server answered {}", .0.0)]
    Rejected(OauthCode),
    /// It may work later; the refresh token was certainly not used up, or nothing says it was.
    #[error("{cause}")]
    Transient {
        /// What happened.
        cause: TransientCause,
        /// How long the server asked to wait, bounded.
        retry_after: Option<Duration>,
    },
    /// The request was sent and no answer that can be understood came back: the refresh token may
    /// have been used up.
    #[error("the request was sent, and the answer was lost: {0}")]
    Ambiguous(TransientCause),
    /// The answer brought a new refresh token, and with it no access token that can be used. The
    /// one that was presented is spent (RFC 6749 §6), so this one has to be kept.
    #[error("{cause}")]
    RotatedOnly {
        /// The new refresh token.
        refresh: RefreshToken,
        /// What is wrong with the rest.
        cause: TransientCause,
    },
}

/// Why a request to an authorization server failed for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransientCause {
    /// No connection: refused, no route, name not found.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The peer did not prove who it is.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// A status that says nothing about the grant.
    #[error("the server answered {0}")]
    Status(u16),
    /// An error code that says nothing about the grant, such as `temporarily_unavailable`.
    #[error("the server answered {}", .0.0)]
    Code(OauthCode),
    /// An answer that is not a token answer.
    #[error("the answer cannot be understood: {0}")]
    Malformed(&'static str),
    /// Our own store did not keep the intent or the result.
    #[error("the local store failed: {0}")]
    Store(String),
    /// The authorization server of a client of ours is not found, or offers it no way in.
    #[error("{0}")]
    Discovery(String),
    /// The identity provider gave no assertion for the authorization server.
    #[error("at the identity provider: {0}")]
    AtProvider(Box<TransientCause>),
    /// A secret is not where the configuration says.
    #[error("{0}")]
    Secret(String),
    /// Nobody has handed a secret over under this name.
    #[error("nothing is stored under the name {0}")]
    NotStored(String),
    /// The command that prints the credential failed.
    #[error(transparent)]
    Command(#[from] CommandFault),
}

impl TransientCause {
    /// Whether a person has to mend it: waiting a few seconds for it to pass is of no use. A client
    /// or an assertion that was refused is not presented again for the same call (OC-60).
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Secret(_) | Self::NotStored(_) | Self::Command(_) => true,
            Self::Code(code) => code.is_final(),
            Self::AtProvider(cause) => cause.needs_a_person(),
            _ => false,
        }
    }
}

/// Why a person must sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginReason {
    /// Nobody has signed in yet.
    Never,
    /// The refresh token was rejected.
    Rejected {
        /// With which code.
        code: OauthCode,
        /// When.
        at: Timestamp,
        /// Whether an earlier answer had been lost, so that the token may have been used up.
        after_lost_answer: bool,
    },
    /// The access token ended, and the provider gave no refresh token.
    NoRefreshToken {
        /// When the access token ended.
        at: Timestamp,
    },
    /// A person signed out.
    SignedOut {
        /// When.
        at: Timestamp,
    },
    /// The upstream now names another authorization server than the one signed in to.
    IssuerChanged {
        /// When that was noticed.
        at: Timestamp,
    },
}

/// Why no credential can be had for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// A person must sign in.
    LoginRequired(LoginReason),
    /// Refreshing fails for now.
    Unavailable {
        /// What happened last.
        cause: TransientCause,
        /// How often in a row.
        attempts: u32,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// The resource rejects every fresh token (scenarios.md row 16).
    RejectedByResource {
        /// Since when.
        since: Timestamp,
    },
    /// The refresh is still running at the end of the caller's patience.
    TimedOut,
    /// Too many wait already.
    Overloaded,
    /// The daemon's own store cannot be used.
    Store(String),
}
