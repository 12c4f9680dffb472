//! One connection: how it is made, and what is noted while it is used.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::either::Either;
use tower_service::Service;

use super::tls::HTTP2;
use super::{ForwardError, Peer, TlsTrust};
use crate::egress::Proxy;

/// In clear text, or TLS. That is boxed, since its state is a kilobyte: a connection in clear text
/// would carry the room for it as long as it is open, and what makes one would several times.
type Stream = Either<TcpStream, Box<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>>;

/// What the two users of a connection, its pool and its task, tell each other.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Whether a byte of an answer has come since the request went out.
    pub(super) heard: Cell<bool>,
    /// Asks the task to look, before it writes, whether the peer has left.
    pub(super) look: Cell<bool>,
}

/// A connection that notes what happens on it.
pub(super) struct Wire {
    stream: Stream,
    notes: Rc<Notes>,
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector(HttpConnector);

impl Connector {
    pub(super) fn new() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // A stream may be silent for hours; a peer that is gone without a word is noticed.
        tcp.set_keepalive(Some(Duration::from_mins(1)));
        tcp.set_keepalive_interval(Some(Duration::from_secs(15)));
        tcp.set_keepalive_retries(Some(4));
        Self(tcp)
    }

    pub(super) async fn connect(
        &self,
        peer: &Peer,
        notes: Rc<Notes>,
    ) -> Result<Wire, ForwardError> {
        let uri = Uri::builder()
            .scheme(if peer.origin.secure { "https" } else { "http" })
            .authority(peer.origin.authority.as_str())
            .path_and_query("/")
            .build()
            .map_err(|error| ForwardError::Connect(error.to_string()))?;
        let mut tcp = self.0.clone();
        let stream = match (&peer.trust, peer.origin.secure) {
            (_, false) => {
                let made = tcp.call(uri).await;
                Either::Left(made.map_err(|error| explain(&error))?.into_inner())
            }
            (TlsTrust::Missing(why), true) => return Err(ForwardError::Tls(why.to_string())),
            (TlsTrust::Ready(config), true) => {
                let config = Arc::clone(config);
                let made = match peer.egress.proxy_for(&peer.origin.authority) {
                    None => HttpsConnector::from((tcp, config)).call(uri).await,
                    Some(proxy) => {
                        let tunnel = proxy.tunnel(tcp);
                        let made = HttpsConnector::from((tunnel, config)).call(uri).await;
                        made.map_err(|error| named(&proxy, error))
                    }
                };
                let made = made.map_err(|error| explain(error.as_ref()))?;
                Either::Right(Box::new(TokioIo::new(made)))
            }
        };
        Ok(Wire { stream, notes })
    }
}

/// Says that it is the proxy that failed, where the failure was not one of TLS behind it.
fn named(proxy: &Proxy, error: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
    match explain(error.as_ref()) {
        ForwardError::Connect(why) => format!("proxy {proxy}: {why}").into(),
        _ => error,
    }
}

/// Tells a peer that failed its proof from one that cannot be reached, with the innermost reason.
fn explain(error: &(dyn Error + 'static)) -> ForwardError {
    let mut reason = error;
    loop {
        if reason.is::<rustls::Error>() {
            return ForwardError::Tls(reason.to_string());
        }
        let inner = match reason
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => reason.source(),
        };
        match inner {
            Some(inner) => reason = inner,
            None => return ForwardError::Connect(reason.to_string()),
        }
    }
}

impl Wire {
    /// What its two users tell each other.
    pub(super) fn notes(&self) -> Rc<Notes> {
        Rc::clone(&self.notes)
    }

    /// Whether its two sides have agreed on HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        let Either::Right(stream) = &self.stream else {
            return false;
        };
        match stream.inner() {
            MaybeHttpsStream::Http(_) => false,
            MaybeHttpsStream::Https(tls) => tls.inner().get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }

    /// Whether the peer has closed its side, asked of the kernel: the runtime learns it only at
    /// its next turn. Data that waits is no sign of leaving (TLS sends tickets unasked).
    fn peer_has_left(&self) -> bool {
        let socket = match &self.stream {
            Either::Left(tcp) => tcp,
            Either::Right(stream) => match stream.inner() {
                MaybeHttpsStream::Http(tcp) => tcp.inner(),
                MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
            },
        };
        let mut byte = [0_u8; 1];
        match rustix::net::recv(socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((read, _)) => read == 0,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.notes.look.take() && self.peer_has_left() {
            // Read as the end of the stream: the request that was about to go out comes back
            // unsent.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.notes.heard.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}
