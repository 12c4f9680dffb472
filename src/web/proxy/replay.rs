//! Request bodies: kept whole where a request may have to be sent again, else sent as they come.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Waker};

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::super::routes::{Kept, RouteEntry};
use crate::ledger::SessionCell;
use crate::model::mcp::standin::without_answer;
use crate::transport::{BodyLost, RequestBody};

use std::sync::Arc;

/// The longest body that is kept.
const LONGEST_KEPT: u64 = 1 << 20;
/// What is set aside at first for a body that is kept.
const FIRST_ROOM: u64 = 16 << 10;

/// The body of a request.
pub(super) enum Outbound {
    /// Whole, and sent as often as needed.
    Whole {
        bytes: Bytes,
        /// Room in the budget of its upstream.
        _kept: Option<Kept>,
    },
    /// Sent once; `None` after that.
    Once(Option<RequestBody>),
}

/// Why there is no body to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoBody {
    /// It is longer than allowed; how long, where it said so.
    TooLong(Option<u64>),
    /// The agent did not finish it.
    Unfinished,
}

impl Outbound {
    /// Takes the body of `request`: into memory where it is small and there is room, else as a
    /// stream of at most `longest` bytes.
    pub(super) async fn of(
        request: &HttpRequest,
        mut payload: Payload,
        route: &Arc<RouteEntry>,
        session: Option<&Arc<SessionCell>>,
        longest: u64,
    ) -> Result<Self, NoBody> {
        let headers = request.headers();
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let length = match announced {
            None if headers.contains_key(TRANSFER_ENCODING) => None,
            None => Some(0),
            Some(length) => Some(length),
        };
        if length.is_some_and(|length| length > longest) {
            return Err(NoBody::TooLong(length));
        }
        if let Some(length) = length
            && let (true, Ok(size)) = (length <= LONGEST_KEPT, usize::try_from(length))
        {
            if size == 0 {
                return Ok(Self::Whole {
                    bytes: Bytes::new(),
                    _kept: None,
                });
            }
            if let Some(kept) = route.keep(size) {
                let bytes = collect(&mut payload, size).await?;
                if let Some(cell) = session {
                    cell.add_bytes_in(length);
                }
                return Ok(Self::Whole {
                    bytes,
                    _kept: Some(kept),
                });
            }
        }
        let body = RequestBody::streamed(stream(payload, session.cloned(), longest), length);
        Ok(Self::Once(Some(body)))
    }

    /// That of a request without one.
    pub(super) fn empty() -> Self {
        Self::Whole {
            bytes: Bytes::new(),
            _kept: None,
        }
    }

    /// Takes out what a program answers to our question for a sign-in.
    pub(super) fn hide_answer(&mut self) {
        if let Self::Whole { bytes, .. } = self
            && let Some(bare) = without_answer(bytes)
        {
            *bytes = bare.into();
        }
    }

    /// The body for one more sending.
    pub(super) fn next(&mut self) -> Option<RequestBody> {
        match self {
            Self::Whole { bytes, .. } => Some(RequestBody::whole(bytes.clone())),
            Self::Once(body) => body.take(),
        }
    }

    /// Whether it can be sent again after it was sent.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    /// The bytes, where they are in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole { bytes, .. } => bytes,
            Self::Once(_) => &[],
        }
    }
}

async fn collect(payload: &mut Payload, size: usize) -> Result<Bytes, NoBody> {
    let first = next(payload).await?;
    if first.len() == size {
        // The common case: nothing is copied. The end is read so that the connection is free.
        return Ok(first);
    }
    let room = usize::try_from(FIRST_ROOM).unwrap_or(usize::MAX).min(size);
    let mut whole = BytesMut::with_capacity(room.max(first.len()));
    whole.extend_from_slice(&first);
    while whole.len() < size {
        whole.extend_from_slice(&next(payload).await?);
    }
    Ok(whole.freeze())
}

/// Reads on in the task that serves the connection. Nobody is to be woken for that: whoever feeds
/// the payload is this very task, which goes on with its request right after (`actix_http`,
/// `h1::Payload`: it "does not notify current task"). A task that wakes itself looks at everything
/// twice.
async fn next(payload: &mut Payload) -> Result<Bytes, NoBody> {
    let next = poll_fn(|_| payload.poll_next_unpin(&mut Context::from_waker(Waker::noop())));
    match next.await {
        Some(Ok(chunk)) => Ok(chunk),
        Some(Err(_)) | None => Err(NoBody::Unfinished),
    }
}

fn stream(
    payload: Payload,
    session: Option<Arc<SessionCell>>,
    longest: u64,
) -> impl Stream<Item = Result<Bytes, BodyLost>> {
    let seen = Rc::new(Cell::new(0_u64));
    payload.map(move |chunk: Result<Bytes, PayloadError>| {
        let chunk = chunk.map_err(|_| BodyLost::HungUp)?;
        seen.set(seen.get().saturating_add(chunk.len() as u64));
        if seen.get() > longest {
            return Err(BodyLost::TooLong);
        }
        if let Some(cell) = &session {
            cell.add_bytes_in(chunk.len() as u64);
        }
        Ok(chunk)
    })
}
