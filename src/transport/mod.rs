//! The proxied data path towards upstreams: HTTP/1.1 over connections of our own, and HTTP/2 where
//! it is configured and the server agrees. One transport
//! per server worker, so that nothing here is shared between threads.
//!
//! It frames messages anew, never follows a redirect, never decodes a body, and never hides a
//! break: what the upstream did not finish ends in an error. It repeats a request by itself only
//! when not one byte of it was sent.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};

use crate::egress::Egress;
use crate::model::route::Origin;

mod body;
mod http2;
mod pool;
mod tls;
mod wire;

pub use body::{BodyLost, RequestBody, ResponseBody};
pub use pool::HyperTransport;
pub use tls::TlsTrust;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands, names and TLS included.
    pub connect: Duration,
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// How long an unused connection is kept where the server says nothing about it.
    pub keep: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_mins(1),
            keep: Duration::from_secs(4),
        }
    }
}

/// Which connection a request may go out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// One that has served before, or a new one.
    Any,
    /// A new one.
    New,
}

/// A server and how it proves itself.
#[derive(Debug)]
pub struct Peer {
    /// Where it is.
    pub origin: Arc<Origin>,
    /// What a TLS connection to it trusts.
    pub trust: TlsTrust,
    /// The way there.
    pub egress: Egress,
}

/// One exchange.
#[derive(Debug)]
pub struct Call<'a> {
    /// The server.
    pub peer: &'a Arc<Peer>,
    /// The request: target in origin form, no framing fields; `Host` is that of the server where
    /// it has none. Boxed: it is handed on several times, and each who waits for the answer would
    /// carry the room for it.
    pub request: Box<Request<RequestBody>>,
    /// How long it may take.
    pub limits: Limits,
    /// On which connection.
    pub connection: Connection,
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// No connection; nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The peer did not prove who it is; nothing was sent.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No connection in time; nothing was sent.
    #[error("no connection in time")]
    ConnectTimedOut,
    /// The request was sent, and no answer began in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke after the request had begun to go out.
    #[error("the connection broke")]
    Broken(Break),
    /// What came back is no HTTP answer.
    #[error("the answer is not valid HTTP: {0}")]
    Invalid(String),
    /// The body of the request could not be read to its end.
    #[error("{0}")]
    Request(BodyLost),
}

/// What is known about a broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// It had served before, and not one byte of an answer came: most likely the server closed it
    /// while it was idle. What is safe to repeat may be sent once more.
    Stale,
    /// It was new, or the answer had begun.
    Lost,
    /// The server said that it did not begin with the request, and will not (RFC 9113 §8.7); or
    /// not one byte of it was sent. Anything may be sent once more.
    Unprocessed,
}

/// Sends one request and gives the head of its answer; the body follows as it comes.
pub trait UpstreamTransport {
    /// Carries out `call`. Dropping the future gives the exchange up and closes its connection.
    fn send(
        &self,
        call: Call<'_>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, ForwardError>>;
}
