//! The HTTP+SSE transport (MCP 2024-11-05): a stream whose first event tells where its client
//! posts to. That one event is rewritten so that clients post through here; nothing after it is
//! looked at. What a client is told is a name that leads to the endpoint of its own stream only.

use actix_web::dev::RequestHead;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use http::uri::PathAndQuery;
use http::{Response, StatusCode};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::super::routes::{Dialect, RouteEntry};
use super::Worker;
use super::admit::Call;
use super::answer::{Answered, answer, fail, is_event_stream};
use super::message::Asked;
use super::trouble::{invalid, problem};
use crate::ledger::{Endpoint, Ledger, SessionCell};
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::{First, LONGEST_FIRST_EVENT, Likeness, compare, first_event, target_of};
use crate::transport::ResponseBody;

/// The parameter that names an endpoint.
const NAME: &str = "doorward_endpoint";

/// Where a request goes that is a post to the endpoint of a stream; `None` for any other. What
/// nobody was told, what another session was told, and what was told to somebody who has signed
/// in as somebody else since is not there.
pub(super) fn posted(
    ledger: &Ledger,
    route: &RouteEntry,
    session: Option<&SessionCell>,
    head: &RequestHead,
) -> Option<Result<PathAndQuery, Problem>> {
    if route.spec.dialect != Dialect::Sse || head.method != Method::POST {
        return None;
    }
    let query = head.uri.query()?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, name) = pairs.find(|(name, _)| name == NAME)?;
    let by = session.map(SessionCell::id);
    let now = route.slot.load().map(|held| held.epoch);
    let theirs = |endpoint: &Endpoint| {
        endpoint.account == *route.account()
            && endpoint.by == by
            && compare(endpoint.under, now) == Likeness::Same
    };
    let found = ledger.endpoints().find(&name).filter(theirs);
    Some(found.map(|endpoint| endpoint.target).ok_or_else(|| {
        Problem::new(Code::McpSession)
            .with("upstream", route.account())
            .because("the stream that this endpoint belongs to is not known here")
    }))
}

/// Whether an answer begins a stream whose first event is to be rewritten.
pub(super) fn begins(
    request: &HttpRequest,
    call: &Call,
    response: &Response<ResponseBody>,
) -> bool {
    call.route.spec.dialect == Dialect::Sse
        && *request.method() == Method::GET
        && response.status() == StatusCode::OK
}

/// The answer that begins a stream, as the agent gets it.
pub(super) async fn open(
    worker: &Worker,
    request: &HttpRequest,
    call: Call,
    mut answered: Answered,
) -> HttpResponse {
    match rewritten(worker, request, &call, &mut answered.response).await {
        Ok(()) => {
            // Another stream would have another endpoint, of which its client would not know.
            answered.stream = None;
            answer(worker, request, call, answered, None)
        }
        Err(problem) => fail(&call, &problem, &Asked::Unknown),
    }
}

async fn rewritten(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    response: &mut Response<ResponseBody>,
) -> Result<(), Problem> {
    if !is_event_stream(response.headers()) {
        let other = "it is no stream of events in clear text, and `transport` is \"sse\"";
        return Err(invalid(call, other));
    }
    let patience = call.route.spec.limits.first_byte;
    let body = response.body_mut();
    let begun = body.begin(LONGEST_FIRST_EVENT, |stream| {
        first_event(stream) != First::Unfinished
    });
    let begun = timeout(patience, begun).await.map_err(|_| {
        let patience = humantime::format_duration(patience);
        problem(call, Code::UpstreamTimeout).with("timeout", patience)
    })?;
    let Some(stream) = begun else {
        return Err(invalid(call, "its stream ended before its first event"));
    };
    let First::Endpoint { at } = first_event(stream) else {
        let other = "its stream does not begin with its endpoint, and `transport` is \"sse\"";
        return Err(invalid(call, other));
    };
    let base = Url::parse(&call.route.spec.url).map_err(|e| invalid(call, &e.to_string()))?;
    let target =
        target_of(&base, &stream[at.clone()]).map_err(|e| invalid(call, &e.to_string()))?;
    let state = &worker.state;
    let name = state.own_id();
    let told = format!("{}?{NAME}={name}", request.uri().path());
    stream.splice(at, told.into_bytes());
    let endpoint = Endpoint {
        account: call.route.account().clone(),
        by: call.session.as_ref().map(|session| session.id()),
        under: call.route.slot.load().map(|held| held.epoch),
        target,
    };
    state.ledger.endpoints().name(name, endpoint);
    Ok(())
}
