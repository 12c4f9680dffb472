//! How an agent is told that its session has ended: by a 401 (protocol.md LS-04), whose words some
//! programs replace by their own before a model reads them. What doorward tells those of its
//! servers therefore asks, by a field, to be told by the result of the call.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::super::respond::{self, RequestId};
use super::message::{Asked, Kind};
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem, ago};
use crate::model::in_band::{FIELD, IN_RESULTS};
use crate::model::record::SessionOrigin;
use crate::model::session::Death;
use crate::model::time::Timestamp;

/// The longest call that is read to be answered by its id.
const LONGEST: usize = 1 << 20;
/// How long it may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// The end of a session that was asked to admit something.
pub(super) struct Over {
    pub(super) origin: SessionOrigin,
    pub(super) death: Death,
    pub(super) problem: Problem,
}

/// The answer to a tool call whose program asked to be told by its result; `None` where a 401 is
/// due: to everybody else, and to a program whose helper fetches another session after one.
pub(super) async fn told(
    over: &Over,
    request: &HttpRequest,
    payload: Payload,
    id: RequestId,
) -> Option<HttpResponse> {
    let asked = request.headers().get(FIELD);
    let asked = asked.is_some_and(|value| value == IN_RESULTS) && request.method() == Method::POST;
    let fetches_another = over.origin == SessionOrigin::Helper && over.death != Death::Revoked;
    if !asked || fetches_another {
        return None;
    }
    let body = timeout(PATIENCE, whole(payload)).await.ok()??;
    match Asked::of(&body) {
        Asked::One(message) if message.kind == Kind::Tool => {
            Some(respond::result(&over.problem, &message, id))
        }
        _ => None,
    }
}

async fn whole(mut payload: Payload) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        body.extend_from_slice(&chunk.ok()?);
        if body.len() > LONGEST {
            return None;
        }
    }
    Some(body)
}

/// Why a session that has ended does not admit.
pub(super) fn ended(cell: &SessionCell, now: Timestamp) -> Problem {
    let death = cell.ending().map_or(Death::Revoked, |ending| ending.death);
    died(cell, death, now)
}

/// Why a session that died so does not live.
pub(in crate::web) fn died(cell: &SessionCell, death: Death, now: Timestamp) -> Problem {
    let ending = cell.ending();
    let code = match death {
        Death::Idle => Code::SessionIdle,
        Death::Lapsed => Code::SessionExpired,
        Death::Revoked => Code::SessionRevoked,
    };
    let mut problem = Problem::new(code).with("id", cell.id());
    if let Some(ending) = ending {
        problem = problem.with("ago", ago(ending.at, now));
    }
    if let Some(next) = another(cell) {
        problem = problem.next_step(next);
    }
    match (death, ending) {
        (Death::Idle, _) => problem.with("idle", humantime::format_duration(cell.policy().idle)),
        (Death::Lapsed, _) => problem.with("ttl", humantime::format_duration(cell.policy().ttl)),
        (Death::Revoked, ending) => match ending.and_then(|ending| ending.reason.as_deref()) {
            Some(reason) => problem.because(reason),
            None => problem.because("a person or its end of use ended it"),
        },
    }
}

/// How an agent gets another session; `None` where one is minted.
fn another(cell: &SessionCell) -> Option<String> {
    let client = cell.client();
    match cell.origin() {
        SessionOrigin::Mint => None,
        SessionOrigin::Run | SessionOrigin::Nested => {
            Some(format!("doorward run -- {}", client.unwrap_or("CMD")))
        }
        SessionOrigin::Helper | SessionOrigin::Bridge => {
            let agent = client.unwrap_or("the agent");
            Some(format!("start {agent} anew; it gets a session of its own"))
        }
        SessionOrigin::Env => Some("eval \"$(doorward session env)\"".to_owned()),
        SessionOrigin::Static => {
            client.map(|name| format!("doorward connect {name} --mode static"))
        }
    }
}
