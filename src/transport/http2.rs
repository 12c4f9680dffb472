//! HTTP/2 towards servers that agreed on it (RFC 9113): one connection for many exchanges, another
//! one where its streams are used up. What a server says it did not begin with is told apart from
//! everything else that breaks, for it alone may be sent again whatever it is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{CONTENT_LENGTH, HOST};
use http::{Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::Held;
use super::pool::PeerKey;
use super::wire::Wire;
use super::{BodyLost, Break, Call, ForwardError, Peer, RequestBody, ResponseBody};

/// How long a connection without streams is kept.
const REST: Duration = Duration::from_secs(90);
/// How often a peer is asked whether it is still there while streams are open, and how long it has
/// to answer.
const ASK: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(15));
/// Streams of one connection before the peer has said how many it takes (RFC 9113 §6.5.2).
const COMMON_STREAMS: usize = 100;

/// The HTTP/2 connections of one worker.
#[derive(Default)]
pub(super) struct Links {
    places: RefCell<HashMap<PeerKey, Rc<Place>>>,
}

/// Those to one peer.
#[derive(Default)]
struct Place {
    links: RefCell<Vec<Rc<Link>>>,
    /// Held while one is opened, so that others wait for it and do not open their own.
    opening: Mutex<()>,
    /// Whether the peer spoke HTTP/1.1 when it was last asked: then everybody needs their own.
    alone: Cell<bool>,
}

struct Link {
    sender: SendRequest<Noted>,
    /// How many streams the peer takes at once.
    room: Cell<usize>,
    streams: Cell<usize>,
    used: Cell<Instant>,
}

/// A stream's place in its connection.
pub(super) struct Stream(Rc<Link>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.used.set(Instant::now());
    }
}

/// What is there for a peer.
pub(super) enum Opened {
    /// A connection.
    Link(Stream),
    /// One to a server that speaks HTTP/1.1, and nothing was said on it yet.
    Alone(Box<Wire>),
}

impl Links {
    /// A place in a connection that is open.
    pub(super) fn take(&self, peer: &Arc<Peer>) -> Option<Stream> {
        let places = self.places.borrow();
        let links = places.get(&PeerKey(Arc::clone(peer)))?.links.borrow();
        let link = links
            .iter()
            .find(|link| !link.sender.is_closed() && link.streams.get() < link.room.get())?;
        link.streams.set(link.streams.get() + 1);
        Some(Stream(Rc::clone(link)))
    }

    /// Opens a connection with `connect`; where one has been opened meanwhile, and `any` will do,
    /// that is used.
    pub(super) async fn open(
        links: &Rc<Self>,
        peer: &Arc<Peer>,
        any: bool,
        connect: impl Future<Output = Result<Wire, ForwardError>>,
    ) -> Result<Opened, ForwardError> {
        let place = {
            let mut places = links.places.borrow_mut();
            Rc::clone(places.entry(PeerKey(Arc::clone(peer))).or_default())
        };
        let _turn = if place.alone.get() {
            None
        } else {
            Some(place.opening.lock().await)
        };
        if any && let Some(stream) = links.take(peer) {
            return Ok(Opened::Link(stream));
        }
        let wire = connect.await?;
        place.alone.set(!wire.speaks_http2());
        if place.alone.get() {
            return Ok(Opened::Alone(Box::new(wire)));
        }
        let (sender, connection) = http2::Builder::new(Here)
            .timer(TokioTimer::new())
            .keep_alive_interval(ASK.0)
            .keep_alive_timeout(ASK.1)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| ForwardError::Connect(error.to_string()))?;
        let link = Rc::new(Link {
            sender,
            room: Cell::new(COMMON_STREAMS),
            streams: Cell::new(1),
            used: Cell::new(Instant::now()),
        });
        place.links.borrow_mut().push(Rc::clone(&link));
        let seen = Rc::downgrade(&link);
        let mut connection = Box::pin(connection);
        let driven = poll_fn(move |cx| {
            let over = connection.as_mut().poll(cx);
            if let Some(link) = seen.upgrade() {
                link.room.set(connection.current_max_send_streams());
            }
            // Its failure reaches whoever waits for an answer or a body.
            over.map(|_| ())
        });
        let (links, link_seen) = (Rc::downgrade(links), Rc::downgrade(&link));
        tokio::task::spawn_local(drive(driven, links, Arc::clone(peer), link_seen));
        Ok(Opened::Link(Stream(link)))
    }

    fn forget(&self, peer: &Arc<Peer>, link: &Weak<Link>) {
        let mut places = self.places.borrow_mut();
        let key = PeerKey(Arc::clone(peer));
        let Some(place) = places.get(&key) else {
            return;
        };
        let mut links = place.links.borrow_mut();
        links.retain(|one| !Weak::ptr_eq(&Rc::downgrade(one), link));
        let empty = links.is_empty();
        drop(links);
        if empty {
            places.remove(&key);
        }
    }
}

/// Keeps a connection going until it ends, or has rested for long: then it takes no more streams,
/// and ends by itself.
async fn drive(
    mut connection: impl Future<Output = ()> + Unpin,
    links: Weak<Links>,
    peer: Arc<Peer>,
    link: Weak<Link>,
) {
    loop {
        let (rest, idle) = match link.upgrade() {
            None => break,
            Some(link) => (link.used.get() + REST, link.streams.get() == 0),
        };
        if idle && rest <= Instant::now() {
            break;
        }
        let until = rest.max(Instant::now() + REST / 4);
        if let Either::Left(_) = select(&mut connection, pin!(sleep_until(until))).await {
            if let Some(links) = links.upgrade() {
                links.forget(&peer, &link);
            }
            return;
        }
    }
    if let Some(links) = links.upgrade() {
        links.forget(&peer, &link);
    }
    connection.await;
}

/// Runs what belongs to a connection on the thread of its worker.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// The body of a request that notes why it ended early: the stream is only reset then.
struct Noted {
    body: RequestBody,
    lost: Rc<Cell<Option<BodyLost>>>,
}

impl Body for Noted {
    type Data = Bytes;
    type Error = BodyLost;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyLost>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(lost)) = &frame {
            self.lost.set(Some(*lost));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Carries out `call` on `stream`.
pub(super) async fn exchange(
    stream: Stream,
    call: Call<'_>,
) -> Result<Response<ResponseBody>, ForwardError> {
    let (mut head, body) = call.request.into_parts();
    let host = head.headers.remove(HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    head.headers.remove(CONTENT_LENGTH);
    head.version = Version::HTTP_2;
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = Uri::builder()
        .scheme("https")
        .authority(host.unwrap_or(&call.peer.origin.authority))
        .path_and_query(path)
        .build()
        .map_err(|error| ForwardError::Connect(error.to_string()))?;
    let sent = body.sent();
    let lost = Rc::new(Cell::new(None));
    let noted = Noted {
        body,
        lost: Rc::clone(&lost),
    };
    let mut sender = stream.0.sender.clone();
    let mut answer = pin!(sender.try_send_request(Request::from_parts(head, noted)));
    loop {
        match timeout(call.limits.first_byte, &mut answer).await {
            Ok(Ok(response)) => {
                let (head, incoming) = response.into_parts();
                let body = ResponseBody::new(incoming, Held::Stream(stream));
                return Ok(Response::from_parts(head, body));
            }
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().is_some();
                let error = failed.into_error();
                return Err(match lost.get() {
                    Some(lost) => ForwardError::Request(lost),
                    None if unsent || is_unprocessed(&error) => {
                        ForwardError::Broken(Break::Unprocessed)
                    }
                    None => ForwardError::Broken(Break::Lost),
                });
            }
            // The time counts from the end of the request.
            Err(_) if sent.as_ref().is_some_and(|sent| !sent.get()) => {}
            Err(_) => return Err(ForwardError::TimedOut),
        }
    }
}

/// Whether the server said that it did not begin with a request: it refused its stream, or it is
/// leaving and the stream comes after the last one that it takes (RFC 9113 §8.7). The streams that
/// it has begun with get no such error: they end as their connection does.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let said = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>());
    said.is_some_and(|said| {
        let refused = said.is_reset() && said.reason() == Some(h2::Reason::REFUSED_STREAM);
        said.is_remote() && (refused || said.is_go_away())
    })
}
