//! Commands on the daemon as a whole.

use super::status::header;
use super::{Ctl, Fault, Format, Outcome};
use crate::api::{self, DaemonVersion, Reloaded, Shutdown, Status, Stopping, Version};
use crate::model::catalogue::{Code, Problem};

/// The status of the daemon, if one runs.
pub async fn running(ctl: &Ctl) -> Result<Option<Status>, Fault> {
    match ctl.client.get(api::path::STATUS).await {
        Ok(status) => Ok(Some(status)),
        Err(fault) if fault.code() == Some(Code::NotRunning) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Asks the daemon to stop, after asking the person where agents are connected. `None`: there is
/// none.
pub async fn ask_to_stop(ctl: &Ctl) -> Result<Option<Stopping>, Fault> {
    let Some(status) = running(ctl).await? else {
        return Ok(None);
    };
    let question = match status.counts.active {
        0 => None,
        1 => Some("1 agent is connected; it will reconnect".to_owned()),
        n => Some(format!("{n} agents are connected; they will reconnect")),
    };
    if let Some(connected) = question {
        let question = format!("{connected} when doorward is back. Stop?");
        if !ctl.screen.confirm(&question, "doorward down --yes")? {
            return Err(Fault::Declined);
        }
    }
    let request = Shutdown::default();
    let stopping = ctl.client.post(api::path::SHUTDOWN, &request).await?;
    Ok(Some(stopping))
}

/// `ctl reload`
pub async fn reload(ctl: &Ctl) -> Outcome {
    let reloaded: Reloaded = ctl.client.post(api::path::RELOAD, &()).await?;
    if ctl.screen.format().is_json() {
        ctl.screen.json(&reloaded);
        return Ok(0);
    }
    for warning in &reloaded.warnings {
        ctl.screen.warn(warning);
    }
    let lines = [
        ("added", &reloaded.added),
        ("removed", &reloaded.removed),
        ("changed", &reloaded.changed),
    ];
    let mut any = false;
    for (word, names) in lines {
        if !names.is_empty() {
            any = true;
            ctl.screen.out(format!("{word}: {}", names.join(", ")));
        }
    }
    if !any {
        ctl.screen.out("no upstream changed");
    }
    if !reloaded.restart.is_empty() {
        let keys = reloaded.restart.join(", ");
        ctl.screen
            .warn(format!("{keys} changed: doorward down && doorward up"));
    }
    Ok(0)
}

/// `version`
pub async fn version(ctl: &Ctl, mut version: Version) -> Outcome {
    let daemon: Result<DaemonVersion, Fault> = ctl.client.get(api::path::VERSION).await;
    version.daemon = daemon.ok();
    match ctl.screen.format() {
        Format::Json | Format::Jsonl => {
            ctl.screen.json(&version);
            return Ok(0);
        }
        Format::Table | Format::Wide | Format::Name => {}
    }
    ctl.screen.out(format!("doorward {}", version.version));
    if let Some(daemon) = &version.daemon
        && daemon.version != version.version
    {
        let skew = Problem::new(Code::VersionSkew)
            .with("old", &daemon.version)
            .with("new", &version.version);
        ctl.screen.warn(format!(
            "{}: {}",
            skew.what(),
            skew.fix().unwrap_or_default()
        ));
    }
    Ok(0)
}

impl Ctl {
    /// The line of `status` on the daemon.
    pub fn daemon_line(&self, status: &Status) -> String {
        header(&self.screen, status)
    }
}
