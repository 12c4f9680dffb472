//! Speaks HTTP over the control socket. One connection a request: commands make few, and a
//! connection that is kept would outlive a daemon that restarts. It is hyper and not awc, because
//! awc reaches a Unix socket only through connectors of crates that nothing else here needs.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Fault;
use crate::api::{Failure, path};
use crate::model::catalogue::{Code, Problem};

/// The longest answer.
const LONGEST: usize = 16 << 20;

/// How long a question is quiet before somebody looks whether the daemon lives.
const QUIET: Duration = Duration::from_secs(5);

/// What a daemon that lives has to say its version. A machine under load needs seconds.
const PULSE: Duration = Duration::from_secs(10);

/// Asks one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The daemon behind `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for a document.
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, Fault> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Asks for something to be done.
    pub async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<A, Fault> {
        self.call(Method::POST, path, Some(request)).await
    }

    /// Makes one request.
    pub async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        request: Option<&impl Serialize>,
    ) -> Result<A, Fault> {
        let body = match request {
            None => Vec::new(),
            Some(request) => serde_json::to_vec(request).map_err(|e| mistake(&e.to_string()))?,
        };
        let (status, answer) = self.exchange(method, path, body).await?;
        if !status.is_success() {
            return Err(match serde_json::from_slice::<Failure>(&answer) {
                Ok(failure) => Fault::Failure(Box::new(failure)),
                Err(_) => mistake(&format!("{path} was answered with {status}")),
            });
        }
        let answer = if answer.is_empty() {
            b"null"
        } else {
            &answer[..]
        };
        serde_json::from_slice(answer).map_err(|error| {
            Problem::new(Code::BadRequest)
                .because(format!("the answer to {path} cannot be read: {error}"))
                .next_step("doorward version")
                .into()
        })
    }

    /// One exchange with a daemon that lives. It may take any time; a daemon that answers nothing
    /// else meanwhile either is frozen, and nobody is to wait for that.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        tokio::select! {
            done = self.exchange_once(method, path, body) => done,
            fault = self.no_pulse() => Err(fault),
        }
    }

    /// Over when the daemon does not even say its version any more.
    async fn no_pulse(&self) -> Fault {
        loop {
            tokio::time::sleep(QUIET).await;
            let pulse = self.exchange_once(Method::GET, path::VERSION, Vec::new());
            if tokio::time::timeout(PULSE, pulse).await.is_err() {
                return self.frozen().await;
            }
        }
    }

    async fn frozen(&self) -> Fault {
        let problem = Problem::new(Code::TimedOut).because(format!(
            "it takes connections and answers nothing for {} s",
            (QUIET + PULSE).as_secs()
        ));
        let peer = UnixStream::connect(&self.socket).await;
        let peer = peer.and_then(|stream| stream.peer_cred());
        // A socket that was handed over names the process that opened it, which may be gone.
        let pid = peer.ok().and_then(|peer| peer.pid()).filter(|pid| {
            rustix::process::Pid::from_raw(*pid)
                .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
        });
        match pid {
            Some(pid) => problem
                .next_step(format!(
                    "see what pid {pid} does (kill -CONT {pid} where it is stopped), or end it: \
                     kill -KILL {pid}; then: doorward up"
                ))
                .into(),
            None => problem.into(),
        }
    }

    async fn exchange_once(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let broken = |error: &dyn std::fmt::Display| {
            Fault::from(
                Problem::new(Code::NotRunning)
                    .because(format!("it stopped while it was asked: {error}")),
            )
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "doorward")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| mistake(&error.to_string()))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| broken(&error))?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven here and not in a task of its own: a command that is over
        // leaves nothing behind.
        tokio::pin!(answer);
        let drive = async {
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            done = &mut answer => done,
            never = drive => match never {},
        }
    }

    fn unreachable(&self, error: &io::Error) -> Fault {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Problem::new(Code::PeerRefused).into(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Problem::new(Code::NotRunning).with("socket", socket).into()
            }
            _ => Problem::new(Code::NotRunning)
                .because(format!("{socket}: {error}"))
                .into(),
        }
    }
}

fn mistake(detail: &str) -> Fault {
    Problem::new(Code::Internal).with("detail", detail).into()
}
