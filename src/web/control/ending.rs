//! The end of the daemon: for good, or for the one that takes its place.

use std::path::PathBuf;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use tokio::sync::oneshot;

use super::{Answer, Control};
use crate::api;
use crate::model::catalogue::{Code, Problem};

/// How the daemon is told to end.
#[derive(Debug)]
pub enum End {
    /// To stop.
    Stop {
        /// How long running calls are given; `None`: as configured.
        drain: Option<Duration>,
    },
    /// To let another daemon go on.
    HandOver {
        /// The socket on which that one waits for the sockets of this one.
        to: PathBuf,
        /// Told whether it has them: if it has not, nothing ends.
        done: oneshot::Sender<Result<(), String>>,
    },
}

pub(super) async fn shutdown(
    control: web::Data<Control>,
    asked: web::Json<Option<api::Shutdown>>,
) -> HttpResponse {
    let drain = asked
        .into_inner()
        .unwrap_or_default()
        .drain_s
        .map(Duration::from_secs);
    // Nobody listens any longer only when the daemon stops already.
    let _ = control.end.send(End::Stop { drain });
    HttpResponse::Ok().json(stopping(&control, drain))
}

pub(super) async fn hand_over(
    control: web::Data<Control>,
    asked: web::Json<api::HandOver>,
) -> Answer {
    let (done, answer) = oneshot::channel();
    let to = asked.into_inner().socket;
    let _ = control.end.send(End::HandOver { to, done });
    match answer.await {
        Ok(Ok(())) => Ok(HttpResponse::Ok().json(stopping(&control, None))),
        Ok(Err(why)) => Err(Problem::new(Code::Internal).with("detail", why).into()),
        Err(_) => Err(Problem::new(Code::Stopping).into()),
    }
}

fn stopping(control: &Control, drain: Option<Duration>) -> api::Stopping {
    let configured = control.directory.deps().config.load().server.drain;
    let drain = drain.unwrap_or(configured);
    api::Stopping::new(std::process::id(), drain.as_secs())
}
