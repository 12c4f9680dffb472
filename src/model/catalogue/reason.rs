//! Faults in the words of the catalogue: which entry stands for an error, and what its reason is.

use std::time::Duration;

use super::{Code, Problem};
use crate::model::fault::{CommandFault, CredentialError, LoginReason, TransientCause};
use crate::model::id::AccountRef;
use crate::model::time::Timestamp;

impl Problem {
    /// Why `account` has no credential.
    pub fn of_credential(account: &AccountRef, error: &CredentialError, now: Timestamp) -> Self {
        let problem = |code| Self::new(code).with("upstream", account);
        match error {
            CredentialError::LoginRequired(reason) => Self::of_login(account, reason, now),
            CredentialError::Unavailable {
                cause,
                attempts,
                retry_at,
            } => {
                let wait = retry_at.since(now);
                if let Some(problem) = Self::of_unattended(account, cause) {
                    return problem.retry_after(wait);
                }
                let tried = match attempts {
                    0 | 1 => String::new(),
                    n => format!(" {n} times"),
                };
                problem(Code::RefreshUnavailable)
                    .because(format!("{cause}{tried}; next try in {}", words(wait)))
                    .retry_after(wait)
            }
            CredentialError::RejectedByResource { since } => problem(Code::UpstreamRejected)
                .because(format!(
                    "it has rejected every fresh token since {}",
                    ago(*since, now)
                )),
            CredentialError::TimedOut => problem(Code::RefreshUnavailable)
                .because("renewing it takes longer than this request can wait")
                .retry_after(Duration::from_secs(2)),
            CredentialError::Overloaded => problem(Code::Busy)
                .because("too many calls wait for its token already")
                .retry_after(Duration::from_secs(2)),
            CredentialError::Store(detail) => problem(Code::StoreFailed).with("detail", detail),
        }
    }

    /// Why a credential that needs no person cannot be had; `None` for any other cause.
    fn of_unattended(account: &AccountRef, cause: &TransientCause) -> Option<Self> {
        let problem = |code| Self::new(code).with("upstream", account);
        Some(match cause {
            TransientCause::Secret(why) => problem(Code::SecretUnavailable).because(why),
            TransientCause::NotStored(_) => problem(Code::SecretUnavailable)
                .because(cause)
                .next_step(format!("doorward upstream set-secret {}", account.upstream)),
            TransientCause::Command(fault) => match fault {
                CommandFault::Missing { install_hint, .. } => {
                    let missing = problem(Code::ExecMissing).because(fault);
                    match install_hint {
                        Some(hint) => missing.next_step(hint),
                        None => missing.next_step("install it, or write its whole path"),
                    }
                }
                CommandFault::TimedOut { command, .. } => problem(Code::ExecTimeout)
                    .because(format!("{fault} (it may be waiting for input)"))
                    .next_step(format!("run it yourself: {command}")),
                CommandFault::Failed { command, .. } | CommandFault::Output { command, .. } => {
                    problem(Code::ExecFailed)
                        .because(fault)
                        .with("command", command)
                }
            },
            _ => return None,
        })
    }

    /// Why `account` needs a person.
    pub fn of_login(account: &AccountRef, reason: &LoginReason, now: Timestamp) -> Self {
        let why = match reason {
            LoginReason::Never => return Self::new(Code::LoginRequired).with("upstream", account),
            LoginReason::Rejected {
                code,
                at,
                after_lost_answer,
            } => {
                let lost = if *after_lost_answer {
                    ", after an answer was lost on the way"
                } else {
                    ""
                };
                format!(
                    "its refresh token was rejected {} ({}{lost})",
                    ago(*at, now),
                    code.0
                )
            }
            LoginReason::NoRefreshToken { at } => format!(
                "its token ended {}, and the provider gave no refresh token",
                ago(*at, now)
            ),
            LoginReason::SignedOut { at } => format!("you signed out {}", ago(*at, now)),
            LoginReason::IssuerChanged { at } => format!(
                "it names another authorization server since {}",
                ago(*at, now)
            ),
        };
        Self::new(Code::LoginRequired)
            .with("upstream", account)
            .because(why)
    }

    /// What became of a request to `upstream` that brought no answer.
    pub fn of_transport(upstream: &str, cause: &TransientCause) -> Self {
        let code = match cause {
            TransientCause::Tls(_) => Code::UpstreamTls,
            TransientCause::TimedOut => Code::UpstreamTimeout,
            TransientCause::Broken => Code::ConnectionLost,
            _ => Code::UpstreamUnreachable,
        };
        let problem = Self::new(code).with("upstream", upstream);
        match cause {
            TransientCause::TimedOut | TransientCause::Broken => problem,
            other => problem.with("detail", other),
        }
    }
}

/// How long ago `then` is, in words.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.since(then) {
        age if age < Duration::from_secs(1) => "just now".to_owned(),
        age => format!("{} ago", words(age)),
    }
}

/// A length of time in its largest unit, and the next one where that matters.
fn words(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => "a moment".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..172_800 => "1 day".to_owned(),
        _ => format!("{} days", seconds / 86_400),
    }
}
