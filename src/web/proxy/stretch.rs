//! A stream of events that is followed, so that the agent need not suffer when it breaks: what has
//! come of it, how it is opened again, and what is said where it cannot be.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;
use bytes::Bytes;
use http::{Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::super::respond::{self, RequestId};
use super::super::routes::{KeepAlive, RouteEntry};
use super::admit::Call;
use super::answer::is_event_stream;
use super::heard::Heard;
use super::ids::Ids;
use super::message::{Asked, Message};
use super::resume::{Completed, Reopening, Resume};
use super::standin::event;
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::{Broken, Purpose, Then};
use crate::transport::ResponseBody;

/// A stream on its way to the agent.
pub(super) struct Stretch {
    ids: Ids,
    /// How to open it again, where it is in an era that knows of that.
    resume: Option<Resume>,
    reopening: Option<Reopening>,
    answer: Option<Awaited>,
}

/// An answer that is waited for on it.
struct Awaited {
    heard: Heard,
    message: Message,
    route: Arc<RouteEntry>,
    id: RequestId,
    /// Whether the stream has been opened again: it may have no end of its own then.
    resumed: bool,
}

/// Whether what a request is answered with is a stream that is worth following.
pub(super) fn is_followed(
    request: &HttpRequest,
    call: &Call,
    response: &Response<ResponseBody>,
) -> bool {
    // What has a length cannot be more than that.
    *request.method() != Method::DELETE
        && call.route.spec.keep_alive == KeepAlive::Auto
        && response.status() == StatusCode::OK
        && response.body().length().is_none()
        && is_event_stream(response.headers())
}

impl Stretch {
    /// For a stream that was asked for by GET.
    pub(super) fn listening(resume: Resume) -> Self {
        Self {
            ids: Ids::default(),
            resume: Some(resume),
            reopening: None,
            answer: None,
        }
    }

    /// For one that answers the request in `body`; `None` where that is not one request.
    pub(super) fn answering(call: &Call, body: &[u8], resume: Option<Resume>) -> Option<Self> {
        let message = match Asked::of(body) {
            Asked::One(message) if message.kind.is_answered() => message,
            _ => return None,
        };
        Some(Self {
            ids: Ids::default(),
            resume,
            reopening: None,
            answer: Some(Awaited {
                heard: Heard::default(),
                message,
                route: Arc::clone(&call.route),
                id: call.id,
                resumed: false,
            }),
        })
    }

    fn purpose(&self) -> Purpose {
        match self.answer {
            None => Purpose::Listening,
            Some(_) => Purpose::Answering,
        }
    }

    /// Takes note of a chunk.
    pub(super) fn pass(&mut self, chunk: &[u8]) {
        self.ids.pass(chunk);
        if let Some(awaited) = &mut self.answer {
            awaited.heard.pass(chunk);
        }
    }

    /// Cancelled when it has to be left for another one, because its session was opened anew. An
    /// answer may still come on the stream where it is expected.
    pub(super) fn moved(&self) -> Option<&CancellationToken> {
        let resume = self.resume.as_ref()?;
        resume.moved().filter(|_| self.answer.is_none())
    }

    /// Returns when there is a completion to tell of, on a stream where the agent listens.
    pub(super) fn completed(&self) -> Option<Completed> {
        let resume = self.resume.as_ref().filter(|_| self.answer.is_none())?;
        resume.completed()
    }

    /// The event that tells of it.
    pub(super) fn completion(&self) -> Option<Bytes> {
        let message = self.resume.as_ref()?.completion()?;
        Some(format!("event: message\ndata: {message}\n\n").into())
    }

    /// Whether its session was opened anew.
    pub(super) fn is_moved(&self) -> bool {
        self.resume.as_ref().is_some_and(Resume::is_moved)
    }

    /// Whether all has come that was waited for, on a stream that may have no end of its own.
    pub(super) fn is_complete(&self) -> bool {
        let awaited = self.answer.as_ref();
        awaited.is_some_and(|awaited| awaited.resumed && awaited.heard.is_answered())
    }

    /// How long to listen in vain before it is opened again: some servers register a stream that was
    /// resumed under another name, so that what they say later is only said to who asks again.
    /// `comment_after` is after how much silence the agent gets a sign of life.
    pub(super) fn patience(&self, comment_after: Duration) -> Option<Duration> {
        let awaited = self.answer.as_ref()?;
        let silent = awaited.resumed && !awaited.heard.is_answered() && self.reopening.is_none();
        silent.then_some(2 * comment_after)
    }

    /// Whether an end like this one is the end: not where the answer was to come on a stream that
    /// had broken before.
    pub(super) fn may_end(&self) -> bool {
        let awaited = self.answer.as_ref();
        awaited.is_none_or(|awaited| !awaited.resumed || awaited.heard.is_answered())
    }

    /// What is done now that it has broken; begins to open it again where that is it.
    pub(super) fn broke(&mut self, between: bool) -> Then {
        let last = self.ids.last().filter(|_| self.resume.is_some());
        let answered = |awaited: &Awaited| awaited.heard.is_answered();
        let then = Broken {
            purpose: self.purpose(),
            between,
            has_id: last.is_some(),
            moved: self.is_moved(),
            answered: self.answer.as_ref().is_some_and(answered),
        }
        .then();
        let last = match then {
            Then::GoOn => last,
            Then::Begin => None,
            Then::Confess | Then::Break => return then,
        };
        self.reopening = self.resume.as_mut().and_then(|resume| resume.again(last));
        if self.reopening.is_some() {
            then
        } else {
            self.purpose().in_vain()
        }
    }

    /// Waits for it to be open again, where it is being opened: `Err` with what is done where it
    /// cannot be.
    pub(super) fn poll_reopening(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ResponseBody>, Then>> {
        let Some(reopening) = &mut self.reopening else {
            return Poll::Ready(Ok(None));
        };
        let opened = ready!(reopening.as_mut().poll(cx));
        self.reopening = None;
        if let Some(awaited) = &mut self.answer {
            awaited.resumed = true;
        }
        Poll::Ready(opened.map(Some).ok_or(self.purpose().in_vain()))
    }

    /// The event that says that nobody knows what became of the request.
    pub(super) fn last_words(&self) -> Bytes {
        let Some(awaited) = &self.answer else {
            return Bytes::new();
        };
        let lost = Problem::new(Code::ConnectionLost).with("upstream", awaited.route.account());
        event(&respond::shaped(&lost, &awaited.message, awaited.id))
    }
}
