//! The control socket's client: JSON there and back over a Unix socket, and answers that come line
//! by line. hyper's own client connection, not awc: a stream of events must tell its end from a
//! broken connection, which awc cannot, and a command line needs no actix system.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// At most this much of an answer, or of one line, is read.
const LIMIT: usize = 16 * 1024 * 1024;

/// Talks to the daemon over its control socket.
#[derive(Clone, Debug)]
pub struct ControlClient {
    socket: PathBuf,
    patience: Duration,
}

/// The daemon's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlAnswer {
    /// Its status.
    pub status: u16,
    /// Its body; null where it was empty.
    pub body: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlFault {
    /// Nobody listens.
    #[error("the daemon is not running")]
    NotRunning,
    /// The socket belongs to somebody else.
    #[error("{}: permission denied", .0.display())]
    Denied(PathBuf),
    /// No answer in time.
    #[error("the daemon did not answer in time")]
    TimedOut,
    /// The connection ended within the exchange.
    #[error("the connection to the daemon broke: {0}")]
    Broken(String),
    /// Not what a daemon of ours answers.
    #[error("the answer of the daemon cannot be understood: {0}")]
    Malformed(String),
}

impl ControlClient {
    /// A client for the daemon at `socket`.
    pub fn new(socket: impl Into<PathBuf>, patience: Duration) -> Self {
        Self {
            socket: socket.into(),
            patience,
        }
    }

    /// Where it connects to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends one request and reads the whole answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ControlAnswer, ControlFault> {
        let exchange = async {
            let stream = self.open(method, path, body).await?;
            stream.whole().await
        };
        tokio::time::timeout(self.patience, exchange)
            .await
            .map_err(|_| ControlFault::TimedOut)?
    }

    /// Sends one request whose answer comes line by line, for as long as the daemon likes. Only
    /// the head of the answer has to come in time.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ControlStream, ControlFault> {
        tokio::time::timeout(self.patience, self.open(method, path, body))
            .await
            .map_err(|_| ControlFault::TimedOut)?
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ControlStream, ControlFault> {
        let socket = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.connect_fault(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| ControlFault::Broken(error.to_string()))?;
        let task = Connection(tokio::spawn(async move {
            // Its error shows in the exchange as well.
            let _ = connection.await;
        }));
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(bytes.unwrap_or_default()))
            .map_err(|error| ControlFault::Malformed(error.to_string()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| ControlFault::Broken(error.to_string()))?;
        Ok(ControlStream {
            status: response.status().as_u16(),
            body: response.into_body(),
            buffer: BytesMut::new(),
            _task: task,
        })
    }

    fn connect_fault(&self, error: &io::Error) -> ControlFault {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlFault::NotRunning,
            io::ErrorKind::PermissionDenied => ControlFault::Denied(self.socket.clone()),
            _ => ControlFault::Broken(error.to_string()),
        }
    }
}

/// An answer that comes line by line.
#[derive(Debug)]
pub struct ControlStream {
    /// Its status; everything but 200 is a single JSON document.
    pub status: u16,
    body: Incoming,
    buffer: BytesMut,
    _task: Connection,
}

impl ControlStream {
    /// The next line, without its end; `None` once the daemon ended the answer properly.
    pub async fn next_line(&mut self) -> Result<Option<String>, ControlFault> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                return text(&line).map(Some);
            }
            if self.buffer.len() > LIMIT {
                return Err(ControlFault::Malformed("a line without an end".to_owned()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(ControlFault::Broken(error.to_string())),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let rest = self.buffer.split();
                    return text(&rest).map(Some);
                }
            }
        }
    }

    /// The rest of the answer as one JSON document.
    pub async fn whole(self) -> Result<ControlAnswer, ControlFault> {
        let read = Limited::new(self.body, LIMIT).collect().await;
        let bytes = match read {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(ControlFault::Malformed("it is too long".to_owned()));
            }
            Err(error) => return Err(ControlFault::Broken(error.to_string())),
        };
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| ControlFault::Malformed(error.to_string()))?
        };
        Ok(ControlAnswer {
            status: self.status,
            body,
        })
    }
}

/// The task that drives a connection; it ends with the exchange.
#[derive(Debug)]
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn text(line: &[u8]) -> Result<String, ControlFault> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec())
        .map_err(|_| ControlFault::Malformed("a line that is not UTF-8".to_owned()))
}
