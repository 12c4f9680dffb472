//! What is done for all sessions together, now and then: last uses are written, and sessions that
//! ended long ago are dropped.

use std::collections::HashMap;

use tracing::warn;

use super::directory::Directory;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;

/// What was written last of every session: its last use and its calls.
pub type Roll = HashMap<SessionId, (Timestamp, u64)>;

/// Writes the last use of every session that was used since.
pub async fn write_roll(directory: &Directory, roll: &mut Roll) {
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
pub async fn purge(directory: &Directory) {
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
