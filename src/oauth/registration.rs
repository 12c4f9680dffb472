//! The client identity: the configured one, one registered earlier with this very issuer, or a
//! new dynamic registration (RFC 7591, deprecated in MCP 2026-07-28, and therefore last and kept
//! to this file). What the server returns is used, not what was asked for.

use crate::model::fault::{OauthCode, TransientCause};
use crate::model::record::{ClientAuth, ClientOrigin, ClientRecord};
use crate::model::time::Timestamp;

use super::discovery::Discovered;
use super::{ClientPlan, Provider};

/// What to do about a client identity.
#[derive(Clone, Debug)]
pub enum ClientChoice {
    /// Use this one.
    Use(Box<ClientRecord>),
    /// Register one.
    Register,
}

/// Why there is no client identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationFailure {
    /// The server has no registration endpoint, or registering is switched off.
    #[error("{issuer} does not register programs by itself")]
    NotOffered {
        /// Which server.
        issuer: String,
    },
    /// The server refused.
    #[error("{issuer} refused the registration: {status}{}", said(.code.as_ref(), .description.as_deref()))]
    Refused {
        /// Which server.
        issuer: String,
        /// Its status.
        status: u16,
        /// Its error code.
        code: Option<OauthCode>,
        /// Its words.
        description: Option<String>,
    },
    /// Every way to authenticate that the server takes is one we do not have.
    #[error("{issuer} takes no way of client authentication that is supported here")]
    NoCommonMethod {
        /// Which server.
        issuer: String,
    },
    /// The answer is not a registration.
    #[error("the answer of {issuer} is not a registration: {what}")]
    Malformed {
        /// Which server.
        issuer: String,
        /// What is wrong.
        what: &'static str,
    },
    /// It may work later.
    #[error("{issuer}: {cause}")]
    Transient {
        /// Which server.
        issuer: String,
        /// What happened.
        cause: TransientCause,
    },
}

fn said(code: Option<&OauthCode>, description: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(code) = code {
        text = format!(" {}", code.0);
    }
    if let Some(description) = description {
        text = format!("{text} ({description})");
    }
    text
}
