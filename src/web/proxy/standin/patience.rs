//! An answer that takes long: once it has taken a while, it becomes a stream of events that shows
//! signs of life, so that the agent's own timers do not fire, and the answer is its last event.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, MessageBody, to_bytes_limited};
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::super::respond::{self, RequestId};
use super::super::admit::Call;
pub(super) use super::super::body::COMMENT;
use super::Scene;
use crate::model::mcp::standin::Wants;

/// The longest answer that is put into one event.
const LONGEST: usize = 64 << 20;

/// Something that an answer comes of.
pub(super) type Work = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// The stream ended before its end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the session or the daemon ended, or the answer broke")]
pub(super) struct Unfinished;

/// What is known of an agent that waits.
pub(super) struct Kept {
    /// Whether it takes a stream of events.
    events: bool,
    every: Duration,
    /// Under which ids it waits.
    ids: Vec<Value>,
    progress: Option<Value>,
    waits_for: String,
    pub(super) cuts: Cuts,
    id: RequestId,
}

/// What ends a stream early.
#[derive(Clone)]
pub(super) struct Cuts {
    pub(super) session: Option<CancellationToken>,
    pub(super) daemon: CancellationToken,
}

impl Cuts {
    /// The end of the session of `call`, and `daemon`, which is a step of the daemon's own.
    pub(super) fn of(call: &Call, daemon: &CancellationToken) -> Self {
        Self {
            session: call.session.as_ref().map(|cell| cell.ended().clone()),
            daemon: daemon.clone(),
        }
    }

    /// Returns when one of them has ended.
    pub(super) async fn cut(&self) {
        let session = async {
            match &self.session {
                Some(session) => session.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = session => {}
            () = self.daemon.cancelled() => {}
        }
    }
}

impl Kept {
    pub(super) fn of(scene: &Scene, wants: &[Wants]) -> Self {
        let asked = scene.request.headers().get(ACCEPT);
        let events = asked.and_then(|asked| asked.to_str().ok());
        let answered = wants.iter().filter(|one| one.is_answered());
        Self {
            events: events.is_some_and(|asked| asked.contains("text/event-stream")),
            every: scene.call.route.spec.comment_after,
            ids: answered.map(|one| one.id.clone()).collect(),
            progress: wants.iter().find_map(Wants::progress).cloned(),
            waits_for: respond::message_of(scene.problem()),
            cuts: Cuts::of(&scene.call, &scene.worker.stop.over),
            id: scene.call.id,
        }
    }

    /// A sign of life, the `count`th.
    fn sign(&self, count: u64) -> Bytes {
        match &self.progress {
            None => COMMENT,
            Some(token) => event(&json!({
                "jsonrpc": "2.0",
                "method": "notifications/progress",
                "params": { "progressToken": token, "progress": count, "message": self.waits_for },
            })),
        }
    }
}

/// One event with a message.
pub(in crate::web::proxy) fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}

/// An answer that is a stream of events.
pub(super) fn events(
    content: impl futures_util::Stream<Item = Result<Bytes, Unfinished>> + 'static,
    id: RequestId,
) -> HttpResponse {
    let body = BoxBody::new(BodyStream::new(Box::pin(content)));
    let mut answer = HttpResponse::with_body(StatusCode::OK, body);
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    respond::mark_local(fields, id);
    answer
}

/// The answer that `work` comes to: as it is where that does not take long.
pub(super) async fn patient(work: Work, kept: Kept) -> HttpResponse {
    if !kept.events {
        return work.await;
    }
    let first = sleep_until(Instant::now() + kept.every);
    let work = match select(work, Box::pin(first)).await {
        Either::Left((answer, _)) => return answer,
        Either::Right(((), work)) => work,
    };
    let id = kept.id;
    let start = Stage::Working {
        work,
        kept,
        count: 1,
        now: true,
    };
    events(stream::unfold(start, Stage::next), id)
}

enum Stage {
    Working {
        work: Work,
        kept: Kept,
        count: u64,
        /// Whether a sign of life is due at once.
        now: bool,
    },
    Passing(BoxBody),
    Over,
}

type Step = Option<(Result<Bytes, Unfinished>, Stage)>;

impl Stage {
    async fn next(self) -> Step {
        match self {
            Self::Working {
                work,
                kept,
                count,
                now: true,
            } => {
                let sign = kept.sign(count);
                let stage = Self::Working {
                    work,
                    kept,
                    count: count + 1,
                    now: false,
                };
                Some((Ok(sign), stage))
            }
            Self::Working {
                mut work,
                kept,
                count,
                now: false,
            } => {
                tokio::select! {
                    answer = &mut work => pass(answer, &kept).await,
                    () = kept.cuts.cut() => Some((Err(Unfinished), Self::Over)),
                    () = sleep_until(Instant::now() + kept.every) => {
                        let sign = kept.sign(count);
                        let count = count + 1;
                        Some((Ok(sign), Self::Working { work, kept, count, now: false }))
                    }
                }
            }
            Self::Passing(mut body) => passed(&mut body)
                .await
                .map(|chunk| (chunk, Self::Passing(body))),
            Self::Over => None,
        }
    }
}

/// The next part of a body.
pub(super) async fn passed(body: &mut BoxBody) -> Option<Result<Bytes, Unfinished>> {
    let next = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await;
    next.map(|chunk| chunk.map_err(|_| Unfinished))
}

/// Whether an answer is a stream of events that can go on where ours ends.
pub(super) fn is_stream(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    answer.status() == StatusCode::OK
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

async fn pass(answer: HttpResponse, kept: &Kept) -> Step {
    if is_stream(&answer) {
        let mut body = answer.into_body();
        let first = passed(&mut body).await;
        return first.map(|chunk| (chunk, Stage::Passing(body)));
    }
    let status = answer.status();
    let Ok(Ok(bytes)) = to_bytes_limited(answer.into_body(), LONGEST).await else {
        return Some((Err(Unfinished), Stage::Over));
    };
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let all: Vec<_> = match body {
        Value::Array(all) => all,
        one => vec![one],
    };
    let mut told = Vec::new();
    for id in &kept.ids {
        let own = all.iter().find(|one| one["id"] == *id);
        let said = own.cloned().unwrap_or_else(|| failed(id, &all[0], status));
        told.extend_from_slice(&event(&said));
    }
    Some((Ok(told.into()), Stage::Over))
}

/// What is said under `id` where the answer was not about it.
fn failed(id: &Value, said: &Value, status: StatusCode) -> Value {
    let error = match &said["error"] {
        error @ Value::Object(_) => error.clone(),
        _ => json!({ "code": -32603, "message": format!("the server answered {status}") }),
    };
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}
