//! What the outcome of a token request means for the refresh token that was presented: a definite
//! no, "not now", or "it may have been used up". Decision D7: only three codes are a definite no.

use super::token::{AnswerFault, read_bound_tokens, read_error, read_tokens};
use crate::http::{Answer, Lost, NotSent, TransportFault};
use crate::jose::KeyFault;
use crate::model::fault::{OauthCode, RefreshFailure, TransientCause};
use crate::model::time::Timestamp;
use crate::model::token::NewTokens;

/// The outcome of a token request.
pub fn token_outcome(result: Result<Answer, TransportFault>) -> Result<NewTokens, RefreshFailure> {
    outcome(result, read_tokens)
}

/// The outcome of one that was sent with a proof of a key.
pub fn bound_outcome(result: Result<Answer, TransportFault>) -> Result<NewTokens, RefreshFailure> {
    outcome(result, read_bound_tokens)
}

fn outcome(
    result: Result<Answer, TransportFault>,
    read: fn(&[u8], Timestamp) -> Result<NewTokens, AnswerFault>,
) -> Result<NewTokens, RefreshFailure> {
    let answer = match result {
        Ok(answer) => answer,
        Err(fault @ TransportFault::NotSent(_)) => {
            return Err(RefreshFailure::Transient {
                cause: cause_of(&fault),
                retry_after: None,
            });
        }
        Err(fault @ TransportFault::Lost(_)) => {
            return Err(RefreshFailure::Ambiguous(cause_of(&fault)));
        }
    };
    let retry_after = answer.retry_after();
    let status = || RefreshFailure::Transient {
        cause: TransientCause::Status(answer.status),
        retry_after,
    };
    match answer.status {
        200..300 => match read(&answer.body, answer.sent) {
            Ok(tokens) => Ok(tokens),
            Err(AnswerFault::Code(code)) => Err(by_code(code, retry_after)),
            // A 2xx means that the server did something, and perhaps rotated the token.
            Err(AnswerFault::Malformed(what)) => {
                Err(RefreshFailure::Ambiguous(TransientCause::Malformed(what)))
            }
            Err(AnswerFault::RotatedOnly(refresh, what)) => Err(RefreshFailure::RotatedOnly {
                refresh,
                cause: TransientCause::Malformed(what),
            }),
        },
        408 | 429 => Err(status()),
        400..500 => match read_error(&answer.body) {
            Some(code) => Err(by_code(code, retry_after)),
            None => Err(status()),
        },
        _ => Err(status()),
    }
}

fn by_code(code: OauthCode, retry_after: Option<std::time::Duration>) -> RefreshFailure {
    if code.is_final() {
        RefreshFailure::Rejected(code)
    } else {
        RefreshFailure::Transient {
            cause: TransientCause::Code(code),
            retry_after,
        }
    }
}

/// The same, of a request that brought no tokens for sure.
pub(super) fn refusal(result: Result<Answer, TransportFault>) -> RefreshFailure {
    let unread = TransientCause::Malformed("it is no error and no token");
    token_outcome(result)
        .err()
        .unwrap_or(RefreshFailure::Ambiguous(unread))
}

/// A key that does not sign, in the words of the model: nothing was sent.
pub fn key_cause(fault: KeyFault) -> TransientCause {
    TransientCause::Secret(format!("the client's private key: {fault}"))
}

/// The same as the outcome of a token request.
pub(super) fn unsigned(fault: KeyFault) -> RefreshFailure {
    RefreshFailure::Transient {
        cause: key_cause(fault),
        retry_after: None,
    }
}

/// A transport fault in the words of the model.
pub fn cause_of(fault: &TransportFault) -> TransientCause {
    match fault {
        TransportFault::NotSent(NotSent::Tls(why)) => TransientCause::Tls(why.clone()),
        TransportFault::NotSent(NotSent::Connect(why)) => TransientCause::Connect(why.clone()),
        TransportFault::NotSent(fault) => TransientCause::Connect(fault.to_string()),
        TransportFault::Lost(lost) => match lost {
            Lost::TimedOut => TransientCause::TimedOut,
            Lost::Broken => TransientCause::Broken,
            Lost::TooLarge => TransientCause::Malformed("it is too long"),
            Lost::Unreadable => TransientCause::Malformed("it is not HTTP"),
            Lost::Interim(_) => TransientCause::Malformed("an interim answer came first"),
            Lost::Unframed => TransientCause::Malformed("it does not say how long it is"),
        },
    }
}
