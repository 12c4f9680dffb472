//! What comes back from an exchange, turned into the answer that the agent gets.

use actix_web::body::BoxBody;
use actix_web::http::header as local;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::super::places::Running;
use super::super::respond;
use super::super::routes::{Dialect, RouteAuth};
use super::admit::Call;
use super::body::{AgentBody, Cuts, Opening};
use super::message::Asked;
use super::standin::Tap;
use super::stretch::Stretch;
use super::trouble::{Trouble, invalid, problem, redirected};
use super::{Worker, names};
use crate::model::catalogue::{Code, Problem};
use crate::model::route;
use crate::transport::ResponseBody;

/// What the values of an answer's fields need together, commonly.
const COMMON_VALUES: usize = 256;

/// A body up to this length commonly comes in one piece, with its head.
const SHORT: u64 = 8 << 10;

/// What an exchange brought.
pub(super) struct Answered {
    pub(super) response: Response<ResponseBody>,
    pub(super) running: Running,
    /// Follows the answer, where it is a stream that is worth that.
    pub(super) stream: Option<Box<Stretch>>,
}

/// Tells trouble, in the shape that it asks for.
pub(super) fn refuse(call: &Call, trouble: Trouble, asked: &Asked) -> HttpResponse {
    match trouble {
        Trouble::Told(problem) => fail(call, &problem, asked),
        Trouble::NotAuthenticated(problem) => {
            count_error(call);
            respond::not_authenticated(&problem, call.id)
        }
        Trouble::Unauthorized(problem) => {
            count_error(call);
            respond::unauthorized(&problem, call.id)
        }
    }
}

/// The answer as the agent gets it.
pub(super) fn answer(
    worker: &Worker,
    request: &HttpRequest,
    call: Call,
    answered: Answered,
    tap: Option<Box<Tap>>,
) -> HttpResponse {
    let (head, mut body) = answered.response.into_parts();
    if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED {
        return fail(&call, &redirected(&call, &head.headers), &Asked::Unknown);
    }
    let refused = head.status == StatusCode::UNAUTHORIZED;
    if refused && !matches!(call.route.spec.auth, RouteAuth::Passthrough { .. }) {
        // An upstream that is said to need no credential wants one.
        let problem = problem(&call, Code::UpstreamRejected)
            .because("it wants a credential, and none is configured")
            .next_step("set `auth` of this upstream in the config");
        return fail(&call, &problem, &Asked::Unknown);
    }
    if head.status.is_client_error() || head.status.is_server_error() {
        count_error(&call);
    }
    let Ok(status) = actix_web::http::StatusCode::from_u16(head.status.as_u16()) else {
        return fail(
            &call,
            &invalid(&call, "its status is out of range"),
            &Asked::Unknown,
        );
    };
    let events = is_event_stream(&head.headers);
    let stop = &worker.stop;
    let (daemon, last) = if events && request.method() == actix_web::http::Method::GET {
        (&stop.begun, &stop.over)
    } else {
        (&stop.over, &stop.cut)
    };
    let id = call.id;
    let content = if body.is_finished() {
        BoxBody::new(Bytes::new())
    } else if !events
        && answered.stream.is_none()
        && let Some(whole) = body.at_once(SHORT)
    {
        // Most answers: nothing is left to wait for, to cut, or to watch.
        if let Some(cell) = &call.session {
            cell.add_bytes_out(whole.len() as u64);
        }
        if let Some(mut tap) = tap {
            tap.pass(&whole);
        }
        BoxBody::new(whole)
    } else {
        BoxBody::new(AgentBody::new(
            body,
            Opening {
                cuts: Cuts {
                    session: call.session.as_ref().map(|cell| cell.ended().clone()),
                    daemon: daemon.clone(),
                    last: last.clone(),
                },
                comment_after: call.route.spec.comment_after,
                give_up: call.route.spec.idle_timeout.filter(|_| !events),
                session: call.session,
                open: call.open,
                flight: call.flight,
                running: answered.running,
                stream: answered.stream,
                events,
                tap,
            },
        ))
    };
    let mut answer = HttpResponse::with_body(status, content);
    copy_fields(&head.headers, answer.headers_mut());
    respond::mark_forwarded(answer.headers_mut(), id);
    answer
}

fn copy_fields(from: &HeaderMap, to: &mut local::HeaderMap) {
    let named = route::named_by_connection(
        from.get_all(http::header::CONNECTION)
            .iter()
            .map(HeaderValue::as_bytes),
    );
    // One allocation for all values in the place of one for each.
    let mut values = BytesMut::with_capacity(COMMON_VALUES);
    for (name, value) in from {
        if named.contains(name.as_str()) {
            continue;
        }
        let Some(name) = names::to_agent(name) else {
            continue;
        };
        values.extend_from_slice(value.as_bytes());
        if let Ok(value) = local::HeaderValue::from_maybe_shared(values.split().freeze()) {
            to.append(name, value);
        }
    }
}

/// Whether comments can be put between the events of this body: it is a stream of events, and its
/// bytes are not encoded.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    says_events(headers) && !headers.contains_key(CONTENT_ENCODING)
}

/// Whether it is a stream of events, however its bytes are encoded.
pub(super) fn says_events(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        kind.get(..17)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    })
}

pub(super) fn fail(call: &Call, problem: &Problem, asked: &Asked) -> HttpResponse {
    count_error(call);
    let asked = match call.route.spec.dialect {
        Dialect::Streamable => asked,
        // Its clients look at the status only: no answer to a message comes with that of a post.
        Dialect::Sse => &Asked::Unknown,
    };
    respond::rpc(problem, asked, call.id)
}

fn count_error(call: &Call) {
    if let Some(cell) = &call.session {
        cell.add_error();
    }
}
