//! `up`: makes sure that a daemon runs, and that it is not an older one than this program.

use std::cmp::Ordering;
use std::time::Duration;

use super::run::Context;
use super::service;
use super::start::{self, READY_WITHIN, could_not, ensure_running};
use crate::api::{self, DaemonVersion, Status};
use crate::ctl::{Fault, Outcome};
use crate::daemon;
use crate::model::edition::Edition;

/// How long a daemon that makes way may take, beyond what running calls are given.
const GONE_WITHIN: Duration = Duration::from_secs(90);

/// What came of it.
enum Came {
    /// There was none.
    Started,
    /// It runs the same program, or a newer one.
    Found(Edition),
    /// It ran an older one.
    Replaced(Edition),
}

/// `up`
pub(super) async fn up(context: &Context) -> Outcome {
    let (status, came) = make_sure(context).await?;
    let screen = &context.ctl.screen;
    if screen.format().is_json() {
        let mut status = status;
        screen.spell_all(&mut status.upstreams);
        screen.json(&status);
        return Ok(0);
    }
    match came {
        Came::Started => {}
        Came::Found(edition) => {
            let pid = status.daemon.pid;
            let pid = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
            screen.say(format!("doorward is already running{pid}"));
            if daemon::edition().compared(&edition) == Ordering::Less {
                screen.warn("it was started from a newer doorward than this one");
            }
        }
        Came::Replaced(edition) => screen.say(format!(
            "doorward {} went on where {} stopped",
            env!("CARGO_PKG_VERSION"),
            edition.version,
        )),
    }
    screen.out(context.ctl.daemon_line(&status));
    Ok(0)
}

async fn make_sure(context: &Context) -> Result<(Status, Came), Fault> {
    if context.running().await?.is_none()
        && let Some(manager) = service::installed(context)
    {
        service::start_in_place(context, &manager).await?;
        return found(context, Came::Started).await;
    }
    let (status, started) = ensure_running(context).await?;
    if started {
        return Ok((status, Came::Started));
    }
    let edition = running(context).await?;
    if daemon::edition().compared(&edition) != Ordering::Greater {
        return Ok((status, Came::Found(edition)));
    }
    let loaded = start::load(context)?;
    if let Some(manager) = service::installed(context) {
        service::restart(context, &manager).await?;
        return found(context, Came::Replaced(edition)).await;
    }
    let _turn = start::turn(context).await?;
    // Another command may have had the turn before, for the same reason.
    let edition = running(context).await?;
    if daemon::edition().compared(&edition) == Ordering::Greater {
        let patience = loaded.config.server.drain + GONE_WITHIN + READY_WITHIN;
        start::spawn(context, &["--succeed"], patience).await?;
    }
    found(context, Came::Replaced(edition)).await
}

async fn found(context: &Context, came: Came) -> Result<(Status, Came), Fault> {
    match context.running().await? {
        Some(status) => Ok((status, came)),
        None => Err(could_not(context, "it ended right after it was ready")),
    }
}

/// The program of the daemon that runs.
async fn running(context: &Context) -> Result<Edition, Fault> {
    let version: DaemonVersion = context.ctl.client.get(api::path::VERSION).await?;
    Ok(Edition {
        version: version.version,
        made: version.made.map(|made| made.0),
    })
}
