//! What went wrong with a call, in the words of the catalogue.

use std::time::Duration;

use http::HeaderMap;
use http::header::LOCATION;
use tracing::warn;

use super::super::respond;
use super::super::routes::{RouteEntry, SignInTold};
use super::Worker;
use super::admit::Call;
use super::message::Kind;
use super::replay::NoBody;
use crate::ledger::Ring;
use crate::model::catalogue::{Code, Problem};
use crate::model::fault::CredentialError;
use crate::model::time::Timestamp;
use crate::transport::{BodyLost, Break, ForwardError};

/// Why a call is answered by us.
pub(super) enum Trouble {
    /// In the shape that its message asks for.
    Told(Box<Problem>),
    /// 401: only for the local credential, and for tokens that agents bring themselves.
    Unauthorized(Box<Problem>),
    /// The same for programs that are configured to want it.
    NotAuthenticated(Box<Problem>),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Told(Box::new(problem))
    }
}

/// Without a credential.
pub(super) fn no_credential(
    worker: &Worker,
    call: &Call,
    kind: Option<Kind>,
    error: &CredentialError,
) -> Trouble {
    let now = worker.state.clock.now();
    let problem = Problem::of_credential(call.route.account(), error, now);
    let sign_in = matches!(error, CredentialError::LoginRequired(_));
    // Not for what programs ask by themselves when they start.
    let matters = matches!(kind, Some(Kind::Tool | Kind::Fetch));
    if sign_in && matters && call.route.slot.call_once() {
        worker.state.ledger.doorbell().ring(Ring {
            account: call.route.account().clone(),
            words: respond::message_of(&problem),
        });
    }
    if sign_in && call.route.spec.sign_in == SignInTold::Unauthorized {
        return Trouble::NotAuthenticated(Box::new(problem));
    }
    problem.into()
}

pub(super) fn problem(call: &Call, code: Code) -> Problem {
    Problem::new(code).with("upstream", call.route.account())
}

pub(super) fn invalid(call: &Call, why: &str) -> Problem {
    problem(call, Code::UpstreamUnreachable).because(format!("its answer is invalid: {why}"))
}

pub(super) fn redirected(call: &Call, headers: &HeaderMap) -> Problem {
    let place = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .map_or("another address", |place| {
            place.split('?').next().unwrap_or(place)
        });
    problem(call, Code::UpstreamUnreachable)
        .because(format!(
            "it redirects to {place}; a credential is sent to the configured URL only"
        ))
        .next_step("set `url` of this upstream to where it really is")
}

pub(super) fn unrepeatable(call: &Call) -> Problem {
    problem(call, Code::RefreshUnavailable)
        .because("its token had just been replaced, and the request is too long to be sent again")
        .next_step("repeat the call: it was not carried out")
        .retry_after(Duration::from_secs(1))
}

pub(super) fn no_body(why: NoBody, longest: u64) -> Problem {
    match why {
        NoBody::TooLong(size) => {
            let size =
                size.map_or_else(|| "it is longer".to_owned(), |size| format!("{size} bytes"));
            Problem::new(Code::BodyTooLarge)
                .with("size", size)
                .with("max_body", format!("{longest} bytes"))
        }
        NoBody::Unfinished => {
            Problem::new(Code::BadRequest).with("detail", "the body ended before its length")
        }
    }
}

pub(super) fn transport_trouble(call: &Call, error: ForwardError, now: Timestamp) -> Trouble {
    let (upstream, text) = (call.route.account(), error.to_string());
    warn!(%upstream, request = call.id.as_str(), error = text, "call failed");
    let of_agent = matches!(error, ForwardError::Request(_));
    let problem = transport_problem(&call.route, call.max_body, error);
    if !of_agent {
        call.route.slot.failed(problem.clone(), now);
    }
    problem.into()
}

/// An exchange with the upstream of `route` that brought no answer.
pub(in crate::web) fn transport_problem(
    route: &RouteEntry,
    longest: u64,
    error: ForwardError,
) -> Problem {
    let problem = |code| Problem::new(code).with("upstream", route.account());
    match error {
        ForwardError::Connect(why) => problem(Code::UpstreamUnreachable).with("detail", why),
        ForwardError::Tls(why) => problem(Code::UpstreamTls).with("detail", why),
        ForwardError::ConnectTimedOut => {
            let within = humantime::format_duration(route.spec.limits.connect);
            problem(Code::UpstreamTimeout).because(format!("no connection within {within}"))
        }
        ForwardError::TimedOut => problem(Code::UpstreamTimeout).with(
            "timeout",
            humantime::format_duration(route.spec.limits.first_byte),
        ),
        ForwardError::Broken(Break::Unprocessed) => problem(Code::UpstreamUnreachable)
            .because("it is going away, and did not begin this call"),
        ForwardError::Broken(_) => problem(Code::ConnectionLost),
        ForwardError::Invalid(why) => {
            problem(Code::UpstreamUnreachable).because(format!("its answer is invalid: {why}"))
        }
        ForwardError::Request(BodyLost::TooLong) => no_body(NoBody::TooLong(None), longest),
        ForwardError::Request(BodyLost::HungUp) => no_body(NoBody::Unfinished, longest),
    }
}
