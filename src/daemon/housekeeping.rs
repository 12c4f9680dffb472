//! What happens without anybody asking: actors that died are replaced, last uses are written,
//! ended sessions are dropped, and a changed configuration is loaded.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use crate::actor::directory::Directory;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::web::control::Control;

const PERIOD: Duration = Duration::from_secs(5);
/// Last uses are written every so many periods.
const ROLL_EVERY: u32 = 6;

/// What was written last of every session.
pub(super) type Roll = HashMap<SessionId, (Timestamp, u64)>;

/// Goes on until it is dropped.
pub(super) async fn tend(control: Control, watch: bool) {
    let mut seen = changed_at(&control.inputs.file);
    let mut roll = Roll::new();
    for round in 1_u32.. {
        tokio::time::sleep(PERIOD).await;
        control.directory.look_after();
        if round.is_multiple_of(ROLL_EVERY) {
            write_roll(&control.directory, &mut roll).await;
            purge(&control.directory).await;
        }
        let now = changed_at(&control.inputs.file);
        if watch && now != seen {
            seen = now;
            match (control.reload)() {
                Ok(report) => info!(?report.changed, ?report.added, "configuration reloaded"),
                Err(problem) => warn!(problem = problem.message(), "configuration kept"),
            }
        }
    }
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file)
        .and_then(|data| data.modified())
        .ok()
}

/// Writes the last use of every session that was used since.
pub(super) async fn write_roll(directory: &Directory, roll: &mut Roll) {
    let mut notes = Vec::new();
    for cell in directory.deps().ledger.sessions() {
        let now = (cell.last_used(), cell.calls());
        if cell.ending().is_none() && roll.insert(cell.id(), now) != Some(now) {
            notes.push((cell.id(), now.0, now.1));
        }
    }
    if !notes.is_empty()
        && let Err(error) = directory.deps().store.note_sessions(notes).await
    {
        warn!(%error, "the last uses of sessions are not saved");
    }
}

/// Drops sessions that ended long ago.
async fn purge(directory: &Directory) {
    let deps = directory.deps();
    let now = deps.clock.now();
    let keep = deps.config.load().sessions.keep_ended;
    let mut old = deps.ledger.sessions();
    old.retain(|cell| {
        cell.ending()
            .is_some_and(|ending| now.since(ending.at) > keep)
    });
    if old.is_empty() {
        return;
    }
    let ids = old.iter().map(|cell| cell.id()).collect();
    if let Err(error) = deps.store.delete_sessions(ids).await {
        warn!(%error, "ended sessions are not purged");
        return;
    }
    for cell in old {
        deps.ledger.remove(cell.digest());
        directory.forget_session(cell.id());
    }
}
