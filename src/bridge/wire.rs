//! One HTTP exchange with the daemon's agent port, on a connection of its own: a bridge makes few,
//! and a connection that is kept would outlive a daemon that restarts.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// Nothing was sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have been carried out.
    #[error("lost: {0}")]
    Lost(String),
}

/// Sends `request` to the daemon at `authority` and gives the head of its answer.
pub(super) async fn send(
    authority: &str,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, NoAnswer> {
    let unsent = |error: &dyn std::fmt::Display| NoAnswer::NotSent(error.to_string());
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|e| unsent(&e))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| unsent(&e))?;
    tokio::task::spawn_local(async move {
        // Its error shows in the exchange as well.
        let _ = connection.await;
    });
    match sender.try_send_request(request).await {
        Ok(response) => Ok(response),
        Err(mut failed) => match failed.take_message() {
            Some(_) => Err(NoAnswer::NotSent(failed.into_error().to_string())),
            None => Err(NoAnswer::Lost(failed.into_error().to_string())),
        },
    }
}
