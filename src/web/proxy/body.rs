//! The body of a forwarded answer: passed on chunk by chunk, counted, and cut when its session or
//! the daemon ends. What does not end well upstream does not end well here: the connection to the
//! agent is aborted, never closed as if all had come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::places::Running;
use super::super::tally::Flight;
use super::resume::Completed;
use super::sse::Edge;
use super::standin::Tap;
use super::stretch::Stretch;
use crate::ledger::{SessionCell, StreamGuard};
use crate::model::mcp::Then;
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

/// What a silent body is woken by.
enum Woken {
    /// The end of the session or of the daemon, or the stream has to move.
    Cut,
    /// A sign-in is done that the agent asked a person for.
    Completed,
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
    waiting: Option<Pin<Box<dyn Future<Output = Woken>>>>,
    /// On event streams only.
    edge: Option<Edge>,
    comment_after: Duration,
    give_up: Option<Duration>,
    heard: Instant,
    told: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    failed: Option<Unfinished>,
    /// Whether all has been said.
    over: bool,
    /// Whether the agent is to be told that a sign-in is done.
    completed: bool,
    stream: Option<Box<Stretch>>,
    tap: Option<Box<Tap>>,
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
    /// Follows it, where it is a stream that is worth that.
    pub(super) stream: Option<Box<Stretch>>,
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
            over: false,
            completed: false,
            stream: opening.stream,
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
            stream.pass(chunk);
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

    /// What there is to do now that the stream has broken.
    fn broke(
        &mut self,
        why: Unfinished,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, Unfinished>>> {
        let between = self.edge.is_some_and(Edge::is_between);
        let then = match &mut self.stream {
            Some(stream) => stream.broke(between),
            None => Then::Break,
        };
        self.follow(then, why, cx)
    }

    fn follow(
        &mut self,
        then: Then,
        why: Unfinished,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, Unfinished>>> {
        match (then, &self.stream) {
            (Then::GoOn | Then::Begin, _) => {
                // It waits for another session from now on.
                self.waiting = None;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (Then::Confess, Some(stream)) => {
                let words = stream.last_words();
                if let Some(cell) = &self.session {
                    cell.add_error();
                }
                self.over = true;
                Poll::Ready(Some(Ok(words)))
            }
            (Then::Confess | Then::Break, _) => self.fail(why, cx),
        }
    }

    /// The end of the answer, where it is one.
    fn end(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Unfinished>>> {
        if self.stream.as_ref().is_some_and(|it| !it.may_end()) {
            return self.broke(Unfinished::NotAgain, cx);
        }
        self.open = None;
        Poll::Ready(None)
    }

    /// What there is to do while nothing comes.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Unfinished>>> {
        let woken = self.poll_woken(cx);
        if let Poll::Ready(Woken::Completed) = woken {
            self.waiting = None;
            self.completed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if woken.is_ready() {
            if self.is_cut() {
                return self.fail(Unfinished::Cut, cx);
            }
            if self.stream.as_ref().is_some_and(|it| it.is_moved()) {
                return self.broke(Unfinished::NotAgain, cx);
            }
            // In the midst of an event, the next step of the stop is waited for.
            self.waiting = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.poll_silence(cx) {
            None => Poll::Pending,
            Some(Ok(comment)) => Poll::Ready(Some(Ok(comment))),
            Some(Err(why)) => self.broke(why, cx),
        }
    }

    /// After how much silence it is given up.
    fn patience(&self) -> Option<Duration> {
        let stream = self.stream.as_ref();
        let patience = stream.and_then(|stream| stream.patience(self.comment_after));
        patience.or(self.give_up)
    }

    /// Whether something has happened while nothing came; asks to be woken by it.
    fn poll_woken(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        let waiting = self.waiting.get_or_insert_with(|| {
            let cuts = &self.cuts;
            let stopping = cuts.daemon.is_cancelled();
            let daemon = if stopping { &cuts.last } else { &cuts.daemon }.clone();
            let session = self.cuts.session.clone();
            let stream = self.stream.as_ref();
            let moved = stream.and_then(|stream| stream.moved().cloned());
            let told = self.completed;
            let completed = stream.and_then(|it| it.completed()).filter(|_| !told);
            Box::pin(async move {
                tokio::select! {
                    () = cancelled(session) => Woken::Cut,
                    () = cancelled(moved) => Woken::Cut,
                    () = daemon.cancelled() => Woken::Cut,
                    () = done(completed) => Woken::Completed,
                }
            })
        });
        waiting.as_mut().poll(cx)
    }

    /// Looks at the silence: `Some` when it is time to say or do something.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Option<Result<Bytes, Unfinished>> {
        loop {
            let comment_at = self.edge.map(|_| self.told + self.comment_after);
            let give_up_at = self.patience().map(|longest| self.heard + longest);
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

async fn done(completed: Option<Completed>) {
    match completed {
        Some(completed) => completed.await,
        None => std::future::pending().await,
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
        if this.over {
            this.open = None;
            return Poll::Ready(None);
        }
        if let Some(stream) = &mut this.stream {
            match stream.poll_reopening(cx) {
                Poll::Ready(Ok(Some(body))) => {
                    this.upstream = body;
                    this.heard = Instant::now();
                }
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(then)) => return this.follow(then, Unfinished::NotAgain, cx),
                Poll::Pending => return this.poll_quiet(cx),
            }
            this.over = stream.is_complete() && this.edge.is_some_and(Edge::is_between);
            if this.over {
                this.open = None;
                return Poll::Ready(None);
            }
        }
        if this.completed && this.edge.is_some_and(Edge::is_between) {
            this.completed = false;
            // It waits for the next one from now on.
            this.waiting = None;
            let words = this.stream.as_ref().and_then(|it| it.completion());
            if let Some(words) = words {
                return Poll::Ready(Some(Ok(words)));
            }
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
            Poll::Ready(Some(Err(error))) => this.broke(Unfinished::Upstream(error), cx),
            Poll::Ready(None) => this.end(cx),
            Poll::Pending => this.poll_quiet(cx),
        }
    }
}
