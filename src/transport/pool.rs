//! The connections of one worker: which are idle, for how long they may be, and who uses one now.
//! The last one used is the first to be used again, so that as few as possible grow old.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::hash::{Hash, Hasher};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::Held;
use super::http2::{self, Links, Opened, Stream};
use super::wire::{Connector, Notes, Wire};
use super::{
    BodyLost, Break, Call, Connection, ForwardError, Limits, Peer, RequestBody, ResponseBody,
    UpstreamTransport,
};

/// Idle connections kept to one server.
const MOST_IDLE: usize = 256;
/// A connection that rested longer than this is looked at before it is used again: the question
/// costs a system call, and a connection that was busy just now does not need it.
const RESTED: Duration = Duration::from_millis(1);
/// The longest rest that a server's `Keep-Alive` can ask for.
const LONGEST_REST: Duration = Duration::from_secs(90);

/// [`UpstreamTransport`] on hyper.
#[derive(Clone)]
pub struct HyperTransport {
    connector: Connector,
    pool: Rc<Pool>,
    links: Rc<Links>,
}

#[derive(Default)]
struct Pool {
    idle: RefCell<HashMap<PeerKey, Vec<Idle>>>,
    swept: Cell<bool>,
}

/// A peer is itself only: what is configured anew is another one, and its connections, made with
/// other settings, are not used for it.
pub(super) struct PeerKey(pub(super) Arc<Peer>);

impl PartialEq for PeerKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PeerKey {}

impl Hash for PeerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

struct Idle {
    live: Live,
    since: Instant,
    until: Instant,
}

/// A connection with its task; dropping it closes the connection.
struct Live {
    sender: SendRequest<RequestBody>,
    notes: Rc<Notes>,
    task: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection in use.
pub(super) struct Lease {
    live: Live,
    pool: Weak<Pool>,
    peer: Arc<Peer>,
    keep: Duration,
    sent: Option<Rc<Cell<bool>>>,
}

impl Lease {
    /// Makes the connection available to the next request, unless a part of this one is unsent.
    pub(super) fn give_back(self) {
        let whole = self.sent.as_ref().is_none_or(|sent| sent.get());
        if whole
            && !self.keep.is_zero()
            && !self.live.sender.is_closed()
            && let Some(pool) = self.pool.upgrade()
        {
            Pool::put(&pool, &self.peer, self.live, self.keep);
        }
    }
}

impl Pool {
    fn put(pool: &Rc<Self>, peer: &Arc<Peer>, live: Live, keep: Duration) {
        let since = Instant::now();
        let until = since + keep;
        let mut idle = pool.idle.borrow_mut();
        let list = idle.entry(PeerKey(Arc::clone(peer))).or_default();
        if list.len() < MOST_IDLE {
            list.push(Idle { live, since, until });
        }
        drop(idle);
        if !pool.swept.replace(true) {
            tokio::task::spawn_local(Self::sweep(Rc::downgrade(pool)));
        }
    }

    fn take(&self, peer: &Arc<Peer>) -> Option<Live> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&PeerKey(Arc::clone(peer)))?;
        let now = Instant::now();
        while let Some(Idle { live, since, until }) = list.pop() {
            if until > now && !live.sender.is_closed() {
                live.notes.look.set(now - since >= RESTED);
                return Some(live);
            }
        }
        None
    }

    fn has(&self, peer: &Arc<Peer>) -> bool {
        let idle = self.idle.borrow();
        let list = idle.get(&PeerKey(Arc::clone(peer)));
        list.is_some_and(|list| !list.is_empty())
    }

    /// Closes connections whose time is over, for as long as there are any.
    async fn sweep(pool: Weak<Self>) {
        while let Some(pool) = pool.upgrade() {
            let next = {
                let mut idle = pool.idle.borrow_mut();
                let now = Instant::now();
                idle.retain(|_, list| {
                    list.retain(|idle| idle.until > now && !idle.live.sender.is_closed());
                    !list.is_empty()
                });
                idle.values().flatten().map(|idle| idle.until).min()
            };
            let Some(next) = next else {
                pool.swept.set(false);
                return;
            };
            drop(pool);
            sleep_until(next).await;
        }
    }
}

impl Default for HyperTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperTransport {
    /// A transport for the worker that calls this.
    pub fn new() -> Self {
        Self {
            connector: Connector::new(),
            pool: Rc::default(),
            links: Rc::default(),
        }
    }

    async fn open(&self, peer: &Peer, limits: Limits) -> Result<Live, ForwardError> {
        Self::alone(self.connect(peer, limits).await?).await
    }

    async fn connect(&self, peer: &Peer, limits: Limits) -> Result<Wire, ForwardError> {
        let connecting = self.connector.connect(peer, Rc::default());
        timeout(limits.connect, connecting)
            .await
            .map_err(|_| ForwardError::ConnectTimedOut)?
    }

    /// A place in an HTTP/2 connection; `None` where the server speaks HTTP/1.1 and the pool has a
    /// connection for it.
    async fn link(&self, call: &Call<'_>) -> Result<Option<Stream>, ForwardError> {
        let (peer, any) = (call.peer, call.connection == Connection::Any);
        if any {
            if let Some(stream) = self.links.take(peer) {
                return Ok(Some(stream));
            }
            if self.pool.has(peer) {
                return Ok(None);
            }
        }
        let connect = self.connect(peer, call.limits);
        match Links::open(&self.links, peer, any, connect).await? {
            Opened::Link(stream) => Ok(Some(stream)),
            Opened::Alone(wire) => {
                let live = Self::alone(*wire).await?;
                Pool::put(&self.pool, peer, live, call.limits.keep);
                Ok(None)
            }
        }
    }

    async fn alone(wire: Wire) -> Result<Live, ForwardError> {
        let notes = wire.notes();
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| ForwardError::Connect(error.to_string()))?;
        // Not an async block: that would keep room for the connection twice.
        let task = tokio::task::spawn_local(connection.map(|_| {
            // Its failure reaches whoever waits for an answer or a body.
        }));
        Ok(Live {
            sender,
            notes,
            task,
        })
    }

    /// Sends `request` on `live`; gives it back where nothing of it went out.
    async fn exchange(
        live: &mut Live,
        request: Box<Request<RequestBody>>,
        sent: Option<&Cell<bool>>,
        first_byte: Duration,
    ) -> Result<Response<Incoming>, Failed> {
        if live.sender.ready().await.is_err() {
            return Err(Failed::Unsent(request));
        }
        live.notes.heard.set(false);
        let mut answer = std::pin::pin!(live.sender.try_send_request(*request));
        loop {
            match timeout(first_byte, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut failed)) => {
                    return Err(match failed.take_message() {
                        Some(request) => Failed::Unsent(Box::new(request)),
                        None => Failed::Sent(failed.into_error()),
                    });
                }
                // The time counts from the end of the request.
                Err(_) if sent.is_some_and(|sent| !sent.get()) => {}
                Err(_) => return Err(Failed::TimedOut),
            }
        }
    }
}

enum Failed {
    Unsent(Box<Request<RequestBody>>),
    Sent(hyper::Error),
    TimedOut,
}

impl UpstreamTransport for HyperTransport {
    async fn send(&self, call: Call<'_>) -> Result<Response<ResponseBody>, ForwardError> {
        // Boxed: few are asked so, and every request would carry the room for it.
        if call.peer.trust.offers_http2()
            && let Some(stream) = Box::pin(self.link(&call)).await?
        {
            return Box::pin(http2::exchange(stream, call)).await;
        }
        let Call {
            peer,
            mut request,
            limits,
            connection,
        } = call;
        if !request.headers().contains_key(HOST) {
            let host = HeaderValue::from_str(&peer.origin.authority)
                .map_err(|error| ForwardError::Connect(error.to_string()))?;
            request.headers_mut().insert(HOST, host);
        }
        request.headers_mut().remove(CONTENT_LENGTH);
        let sent = request.body().sent();

        let mut used = match connection {
            Connection::Any => self.pool.take(peer),
            Connection::New => None,
        };
        loop {
            let reused = used.is_some();
            let mut live = match used.take() {
                Some(live) => live,
                // Boxed: it happens seldom, and every request would carry the room for it.
                None => Box::pin(self.open(peer, limits)).await?,
            };
            let exchange = Self::exchange(&mut live, request, sent.as_deref(), limits.first_byte);
            match exchange.await {
                Ok(response) => {
                    let (head, incoming) = response.into_parts();
                    let lease = Lease {
                        live,
                        pool: Rc::downgrade(&self.pool),
                        peer: Arc::clone(peer),
                        keep: rest(&head.headers, limits.keep),
                        sent,
                    };
                    return Ok(Response::from_parts(
                        head,
                        ResponseBody::new(incoming, Held::Connection(lease)),
                    ));
                }
                Err(Failed::Unsent(back)) if reused => request = back,
                Err(Failed::Unsent(_)) => return Err(ForwardError::Broken(Break::Lost)),
                Err(Failed::TimedOut) => return Err(ForwardError::TimedOut),
                Err(Failed::Sent(error)) => {
                    let stale = reused && !live.notes.heard.get();
                    return Err(classify(&error, stale));
                }
            }
        }
    }
}

fn classify(error: &hyper::Error, stale: bool) -> ForwardError {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(lost) = inner.downcast_ref::<BodyLost>() {
            return ForwardError::Request(*lost);
        }
        source = inner.source();
    }
    if error.is_parse() {
        ForwardError::Invalid(error.to_string())
    } else if stale {
        ForwardError::Broken(Break::Stale)
    } else {
        ForwardError::Broken(Break::Lost)
    }
}

/// How long a connection may rest: four fifths of what the server announces in `Keep-Alive`, so
/// that we let go first, or `otherwise`.
fn rest(headers: &HeaderMap, otherwise: Duration) -> Duration {
    headers
        .get_all("keep-alive")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|part| part.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, seconds)| seconds.trim().parse().ok())
        .map_or(otherwise, |seconds: u32| {
            (Duration::from_secs(seconds.into()) * 4 / 5).min(LONGEST_REST)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_announces_its_patience_is_left_before_it_ends() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", HeaderValue::from_static(value));
            rest(&headers, Duration::from_secs(4))
        };
        assert_eq!(of("timeout=5"), Duration::from_secs(4));
        assert_eq!(of("timeout=1, max=100"), Duration::from_millis(800));
        assert_eq!(of("max=7, Timeout = 72"), Duration::from_millis(57_600));
        assert_eq!(of("timeout=0"), Duration::ZERO);
        assert_eq!(of("timeout=4000000000"), LONGEST_REST);
        assert_eq!(of("timeout=soon"), Duration::from_secs(4));
    }
}
