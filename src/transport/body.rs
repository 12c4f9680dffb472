//! Bodies in both directions. Memory is bounded by one chunk a direction: nothing is read ahead of
//! the other side.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http2::Stream as Multiplexed;
use super::pool::Lease;
use super::{Break, ForwardError};

/// Why the body of a request ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyLost {
    /// The agent went away.
    #[error("the agent did not finish its request")]
    HungUp,
    /// It is longer than allowed.
    #[error("the request is too long")]
    TooLong,
}

/// The body of a request.
pub struct RequestBody(Kind);

enum Kind {
    Whole(Bytes),
    Streamed {
        chunks: Pin<Box<dyn Stream<Item = Result<Bytes, BodyLost>>>>,
        left: Option<u64>,
        sent: Rc<Cell<bool>>,
    },
}

impl RequestBody {
    /// A body that is in memory; empty for none.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }

    /// A body that is read while it is sent. `length` is announced where it is known.
    pub fn streamed(
        chunks: impl Stream<Item = Result<Bytes, BodyLost>> + 'static,
        length: Option<u64>,
    ) -> Self {
        Self(Kind::Streamed {
            chunks: Box::pin(chunks),
            left: length,
            sent: Rc::new(Cell::new(false)),
        })
    }

    /// Becomes true when the body has been read to its end; `None` where that needs no watching.
    pub(super) fn sent(&self) -> Option<Rc<Cell<bool>>> {
        match &self.0 {
            Kind::Whole(_) => None,
            Kind::Streamed { sent, .. } => Some(Rc::clone(sent)),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "Whole",
            Kind::Streamed { .. } => "Streamed",
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyLost;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyLost>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Streamed { chunks, left, sent } => match ready!(chunks.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => {
                    if let Some(left) = left {
                        *left = left.saturating_sub(chunk.len() as u64);
                        sent.set(*left == 0);
                    }
                    Poll::Ready(Some(Ok(Frame::data(chunk))))
                }
                Some(Err(lost)) => Poll::Ready(Some(Err(lost))),
                None => {
                    sent.set(true);
                    Poll::Ready(None)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Streamed { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streamed { left, .. } => left.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

/// What an answer holds until its end.
pub(super) enum Held {
    /// A connection.
    Connection(Lease),
    /// A place in one.
    Stream(#[expect(dead_code, reason = "held for its end")] Multiplexed),
}

/// The body of an answer. Dropping it before its end closes the connection: a download that was
/// given up is not drained.
pub struct ResponseBody {
    incoming: Incoming,
    held: Option<Held>,
    /// What was read of it already and still comes.
    ahead: Option<Box<Ahead>>,
}

#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    failed: Option<ForwardError>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, held: Held) -> Self {
        let mut body = Self {
            incoming,
            held: Some(held),
            ahead: None,
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// Reads ahead, and gives the whole rest where it is not longer than `limit`. Nothing is lost
    /// by it, whether it comes to its end or not: what was read is read again from here.
    pub async fn look(&mut self, limit: usize) -> Option<&[u8]> {
        loop {
            let read = self.ahead.as_ref().map_or(0, |ahead| ahead.bytes.len());
            if read > limit {
                return None;
            }
            match poll_fn(|cx| self.poll_incoming(cx)).await {
                Some(Ok(chunk)) => {
                    let ahead = self.ahead.get_or_insert_default();
                    ahead.bytes.extend_from_slice(&chunk);
                }
                Some(Err(error)) => {
                    self.ahead.get_or_insert_default().failed = Some(error);
                    return None;
                }
                None => break,
            }
        }
        Some(self.ahead.as_ref().map_or(&[], |ahead| &ahead.bytes))
    }

    /// Reads ahead until `enough` says that of what has come, and gives that to be changed. `None`
    /// where the body ends, breaks, or is longer than `limit` before it is enough.
    pub async fn begin(
        &mut self,
        limit: usize,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Option<&mut Vec<u8>> {
        loop {
            let read = self.ahead.as_ref().map_or(0, |ahead| ahead.bytes.len());
            if read > 0
                && self
                    .ahead
                    .as_ref()
                    .is_some_and(|ahead| enough(&ahead.bytes))
            {
                break;
            }
            if read > limit {
                return None;
            }
            let Some(Ok(chunk)) = poll_fn(|cx| self.poll_incoming(cx)).await else {
                return None;
            };
            let ahead = self.ahead.get_or_insert_default();
            ahead.bytes.extend_from_slice(&chunk);
        }
        self.ahead.as_mut().map(|ahead| &mut ahead.bytes)
    }

    /// The whole rest, where its length is known, it is not longer than `limit`, and it has come
    /// already, as that of a short answer does with its head. Nothing is lost where it has not.
    pub fn at_once(&mut self, limit: u64) -> Option<Bytes> {
        if self.ahead.is_some() || self.length().is_none_or(|length| length > limit) {
            return None;
        }
        // Whoever waits for the rest asks to be woken for it.
        let mut nobody = Context::from_waker(Waker::noop());
        match self.poll_incoming(&mut nobody) {
            Poll::Ready(Some(Ok(chunk))) if self.is_finished() => Some(chunk),
            Poll::Ready(Some(Ok(chunk))) => {
                self.ahead.get_or_insert_default().bytes = chunk.into();
                None
            }
            Poll::Ready(Some(Err(error))) => {
                self.ahead.get_or_insert_default().failed = Some(error);
                None
            }
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    /// Its announced length, less what has been read of it.
    pub fn length(&self) -> Option<u64> {
        let ahead = self.ahead.as_ref().map_or(0, |ahead| ahead.bytes.len());
        let rest = self.incoming.size_hint().exact()?;
        Some(rest + ahead as u64)
    }

    /// Whether nothing more comes.
    pub fn is_finished(&self) -> bool {
        self.ahead.is_none() && self.incoming.is_end_stream()
    }

    fn release(&mut self) {
        if let Some(Held::Connection(lease)) = self.held.take() {
            lease.give_back();
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}

impl ResponseBody {
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ForwardError>>> {
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are discarded (RFC 9110 §6.5.1), never merged into the head.
                    if let Ok(chunk) = frame.into_data() {
                        if self.incoming.is_end_stream() {
                            self.release();
                        }
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(_)) => {
                    self.held = None;
                    return Poll::Ready(Some(Err(ForwardError::Broken(Break::Lost))));
                }
                None => {
                    self.release();
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, ForwardError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(ahead) = self.ahead.take() {
            let Ahead { bytes, failed } = *ahead;
            if let Some(error) = failed {
                if bytes.is_empty() {
                    return Poll::Ready(Some(Err(error)));
                }
                self.ahead = Some(Box::new(Ahead {
                    bytes: Vec::new(),
                    failed: Some(error),
                }));
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes.into())));
            }
        }
        self.poll_incoming(cx)
    }
}
