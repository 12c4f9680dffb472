//! The body of a forwarded answer: passed on chunk by chunk, counted, and cut when its session or
//! the daemon ends. What does not end well upstream does not end well here: the connection to the
//! agent is aborted, never closed as if all had come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::places::Running;
use super::super::tally::Flight;
use super::ids::Ids;
use super::resume::{Reopening, Resume};
use super::sse::Edge;
use super::standin::Tap;
use crate::ledger::{SessionCell, StreamGuard};
use crate::transport::{ForwardError, ResponseBody};

pub(super) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Why a body was not finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfinished {
    #[error("upstream: {0}")]
    Upstream(ForwardError),
    #[error("upstream: nothing came for too long")]
    Silent,
    #[error("the session or the daemon ended")]
    Cut,
    #[error("the stream broke, and could not be opened again")]
    NotAgain,
}

/// What ends a body early.
pub(super) struct Cuts {
    pub(super) session: Option<CancellationToken>,
    /// Ends an event stream between two events, and anything else at once.
    pub(super) daemon: CancellationToken,
    /// Ends it wherever it is.
    pub(super) last: CancellationToken,
}

/// The body of an answer on its way to the agent.
pub(super) struct AgentBody {
    upstream: ResponseBody,
    length: Option<u64>,
    session: Option<Arc<SessionCell>>,
    open: Option<StreamGuard>,
    _flight: Flight,
    /// Held until the end, except for event streams, which are no load while they are silent.
    _running: Option<Running>,
    cuts: Cuts,
    waiting: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// On event streams only.
    edge: Option<Edge>,
    comment_after: Duration,
    give_up: Option<Duration>,
    heard: Instant,
    told: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    failed: Option<Unfinished>,
    stream: Option<Box<Stretch>>,
    tap: Option<Box<Tap>>,
}

/// A stream that can be opened again when it breaks.
struct Stretch {
    ids: Ids,
    resume: Resume,
    reopening: Option<Reopening>,
}

/// What is known of an answer whose body begins.
pub(super) struct Opening {
    pub(super) session: Option<Arc<SessionCell>>,
    pub(super) open: Option<StreamGuard>,
    pub(super) running: Running,
    pub(super) flight: Flight,
    pub(super) cuts: Cuts,
    pub(super) comment_after: Duration,
    pub(super) give_up: Option<Duration>,
    /// Whether it is an event stream, in clear text.
    pub(super) events: bool,
    /// How to open it again, where it is a stream that can be.
    pub(super) resume: Option<Resume>,
    /// Who listens in.
    pub(super) tap: Option<Box<Tap>>,
}

impl AgentBody {
    pub(super) fn new(upstream: ResponseBody, opening: Opening) -> Self {
        let now = Instant::now();
        Self {
            length: upstream.length(),
            upstream,
            session: opening.session,
            open: opening.open,
            _flight: opening.flight,
            _running: (!opening.events).then_some(opening.running),
            cuts: opening.cuts,
            waiting: None,
            edge: opening.events.then(Edge::new),
            comment_after: opening.comment_after,
            give_up: opening.give_up,
            heard: now,
            told: now,
            timer: None,
            failed: None,
            tap: opening.tap,
            stream: opening.resume.map(|resume| {
                Box::new(Stretch {
                    ids: Ids::default(),
                    resume,
                    reopening: None,
                })
            }),
        }
    }

    fn passed(&mut self, chunk: &Bytes) {
        if let Some(cell) = &self.session {
            cell.add_bytes_out(chunk.len() as u64);
        }
        if let Some(edge) = &mut self.edge {
            edge.pass(chunk);
        }
        if let Some(stream) = &mut self.stream {
            stream.ids.pass(chunk);
        }
        if let Some(tap) = &mut self.tap {
            tap.pass(chunk);
        }
        if self.edge.is_some() || self.give_up.is_some() {
            self.heard = Instant::now();
            self.told = self.heard;
        }
        if let (Some(open), false) = (&self.open, self.upstream.is_finished()) {
            open.progress();
        }
    }

    /// Gives up. What came before is flushed first: the server drops what it holds when a body
    /// fails, so the failure is told one turn later.
    fn fail(
        &mut self,
        why: Unfinished,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, Unfinished>>> {
        if let Some(cell) = &self.session {
            cell.add_error();
        }
        self.failed = Some(why);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_cut(&self) -> bool {
        let session = self.cuts.session.as_ref();
        session.is_some_and(CancellationToken::is_cancelled)
            || self.cuts.daemon.is_cancelled() && !self.finishes_event()
    }

    /// Whether a stop of the daemon waits for the end of the event that has begun.
    fn finishes_event(&self) -> bool {
        self.edge.is_some_and(|edge| !edge.is_between()) && !self.cuts.last.is_cancelled()
    }

    /// Begins to open the stream again, where that can be done without the agent noticing: between
    /// two events, and at a place that the upstream knows.
    fn reopen(&mut self) -> bool {
        let between = self.edge.is_some_and(Edge::is_between);
        let Some(stream) = self.stream.as_mut().filter(|_| between) else {
            return false;
        };
        let last = stream.ids.last();
        let moved = stream.resume.is_moved();
        if last.is_none() && !moved {
            return false;
        }
        // The session it moves to knows nothing of the events of the one before.
        stream.reopening = stream.resume.again(last.filter(|_| !moved));
        // It waits for another session from now on.
        self.waiting = None;
        stream.reopening.is_some()
    }

    /// Waits for the stream to be open again.
    fn poll_reopening(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unfinished>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(()));
        };
        let Some(reopening) = &mut stream.reopening else {
            return Poll::Ready(Ok(()));
        };
        let opened = ready!(reopening.as_mut().poll(cx));
        stream.reopening = None;
        match opened {
            Some(body) => {
                self.upstream = body;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(Unfinished::NotAgain)),
        }
    }

    /// What there is to do while nothing comes.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Unfinished>>> {
        if self.poll_cut(cx).is_ready() {
            if self.is_cut() {
                return self.fail(Unfinished::Cut, cx);
            }
            let moved = self.stream.as_ref().is_some_and(|it| it.resume.is_moved());
            if moved && !self.reopen() {
                return self.fail(Unfinished::NotAgain, cx);
            }
            // In the midst of an event, the next step of the stop is waited for.
            self.waiting = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.poll_silence(cx) {
            None => Poll::Pending,
            Some(Ok(comment)) => Poll::Ready(Some(Ok(comment))),
            Some(Err(why)) => self.fail(why, cx),
        }
    }

    /// Whether the end of the session or of the daemon has come, or the stream has to move; asks to
    /// be woken by it.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.waiting.get_or_insert_with(|| {
            let cuts = &self.cuts;
            let stopping = cuts.daemon.is_cancelled();
            let daemon = if stopping { &cuts.last } else { &cuts.daemon }.clone();
            let session = self.cuts.session.clone();
            let stream = self.stream.as_ref();
            let moved = stream.and_then(|stream| stream.resume.moved().cloned());
            Box::pin(async move {
                tokio::select! {
                    () = cancelled(session) => {}
                    () = cancelled(moved) => {}
                    () = daemon.cancelled() => {}
                }
            })
        });
        waiting.as_mut().poll(cx)
    }

    /// Looks at the silence: `Some` when it is time to say or do something.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Option<Result<Bytes, Unfinished>> {
        loop {
            let comment_at = self.edge.map(|_| self.told + self.comment_after);
            let give_up_at = self.give_up.map(|longest| self.heard + longest);
            let next = [comment_at, give_up_at].into_iter().flatten().min()?;
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(next)));
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return None;
            }
            let now = Instant::now();
            if give_up_at.is_some_and(|at| at <= now) {
                return Some(Err(Unfinished::Silent));
            }
            self.told = now;
            if self.edge.is_some_and(Edge::is_between) {
                return Some(Ok(COMMENT));
            }
        }
    }
}

async fn cancelled(token: Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

impl MessageBody for AgentBody {
    type Error = Unfinished;

    fn size(&self) -> BodySize {
        self.length.map_or(BodySize::Stream, BodySize::Sized)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Unfinished>>> {
        let this = &mut *self;
        if let Some(why) = this.failed.take() {
            return Poll::Ready(Some(Err(why)));
        }
        if this.is_cut() {
            return this.fail(Unfinished::Cut, cx);
        }
        match this.poll_reopening(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(why)) => return this.fail(why, cx),
            Poll::Pending => return this.poll_quiet(cx),
        }
        match Pin::new(&mut this.upstream).poll_next(cx) {
            Poll::Ready(Some(Ok(mut chunk))) => {
                if this.cuts.daemon.is_cancelled()
                    && let Some(rest) = this.edge.and_then(|edge| edge.rest_of_event(&chunk))
                {
                    chunk.truncate(rest);
                }
                this.passed(&chunk);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => {
                if !this.reopen() {
                    return this.fail(Unfinished::Upstream(error), cx);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.open = None;
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_quiet(cx),
        }
    }
}
