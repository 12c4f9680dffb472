//! Revocation (RFC 7009): the refresh token first, then the access token. A sign-out is complete
//! locally whatever comes of it.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::classify::{cause_of, key_cause};
use super::token::{authenticated, read_error};
use crate::http::{Answer, OwnClient, Reach, Request, TransportFault};
use crate::jose::{Freshness, KeyFault};
use crate::model::fault::TransientCause;
use crate::model::record::GrantRecord;
use crate::model::secret::AccessToken;

/// What came of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The tokens are void, or were unknown already.
    Done,
    /// The server offers none, or not for this kind of token.
    NotOffered,
    /// Try again later.
    Later {
        /// Why.
        cause: TransientCause,
        /// How long the server asked to wait, bounded.
        retry_after: Option<Duration>,
    },
    /// The server refused.
    Refused(u16),
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("they are void"),
            Self::NotOffered => f.write_str("it offers no revocation"),
            Self::Later { cause, .. } => cause.fmt(f),
            Self::Refused(status) => write!(f, "it answered {status}"),
        }
    }
}

/// Revokes the tokens of a grant. The refresh token counts: without it the access token lives its
/// short life at most.
pub(super) async fn revoke(
    client: OwnClient,
    grant: GrantRecord,
    access: Option<AccessToken>,
    fresh: Freshness,
) -> Revocation {
    let endpoint = grant.revocation_endpoint.as_deref().map(Url::parse);
    let Some(Ok(endpoint)) = endpoint else {
        return Revocation::NotOffered;
    };
    let ask = |token: &str, hint: &str| {
        let fields = [("token", token), ("token_type_hint", hint)];
        let request = authenticated(endpoint.clone(), &grant.client, &fields, &fresh);
        request.map(|request| request.reach(Reach::ANYWHERE))
    };
    let refresh = grant.refresh.as_ref();
    let refresh = refresh.map(|token| ask(token.expose(), "refresh_token"));
    let access = access.map(|token| ask(token.expose(), "access_token"));
    let first = send(&client, refresh).await;
    let second = send(&client, access).await;
    first.or(second).unwrap_or(Revocation::Done)
}

async fn send(
    client: &OwnClient,
    request: Option<Result<Request, KeyFault>>,
) -> Option<Revocation> {
    Some(match request? {
        Ok(request) => outcome(client.send(request).await),
        Err(fault) => Revocation::Later {
            cause: key_cause(fault),
            retry_after: None,
        },
    })
}

/// RFC 7009 §2.2: unknown tokens are a success, and so is everything in 2xx.
pub(super) fn outcome(result: Result<Answer, TransportFault>) -> Revocation {
    let answer = match result {
        Ok(answer) => answer,
        Err(fault) => {
            return Revocation::Later {
                cause: cause_of(&fault),
                retry_after: None,
            };
        }
    };
    match answer.status {
        200..300 => Revocation::Done,
        status @ (408 | 429 | 500 | 502..=504) => Revocation::Later {
            cause: TransientCause::Status(status),
            retry_after: answer.retry_after(),
        },
        404 | 405 | 501 => Revocation::NotOffered,
        status => match read_error(&answer.body) {
            Some(code) if code.0 == "unsupported_token_type" => Revocation::NotOffered,
            _ => Revocation::Refused(status),
        },
    }
}
