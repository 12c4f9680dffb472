//! The sessions of the daemon before, which must hold before anybody can use one of them.

use std::sync::Arc;

use tracing::warn;

use crate::actor::Revoke;
use crate::actor::directory::Directory;
use crate::ledger::SessionCell;
use crate::model::session::Liveness;
use crate::model::time::Timestamp;
use crate::process;
use crate::store::StoreError;

/// Puts them into the ledger. Those whose process has ended meanwhile end here.
pub(super) async fn sessions(directory: &Directory, now: Timestamp) -> Result<(), StoreError> {
    let deps = directory.deps();
    for record in deps.store.sessions().await? {
        let cell = SessionCell::restored(record, now);
        deps.ledger.insert(Arc::clone(&cell));
        if cell.ending().is_some() {
            continue;
        }
        // One that cannot be seen now may live; its session looks again, and ends with it.
        let gone = |process: &&_| process::lives(process).is_ok_and(|lives| !lives);
        match cell.bound().filter(gone) {
            None => directory.open_session(&cell),
            Some(process) => {
                cell.set_liveness(Liveness::Gone);
                let end = Revoke::process_ended(process.pid);
                let ended = directory.revoke(&cell, end.by, end.reason.as_deref());
                // It is over all the same, and the next start finds it as this one did.
                if let Err(error) = ended.await {
                    warn!(session = %cell.id(), %error, "the end of a session is not saved");
                }
            }
        }
    }
    Ok(())
}
