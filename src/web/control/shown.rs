//! Credentials that may be shown a second time: those that a command prints for a process which
//! asks again and again. They are held in memory as long as their sessions live and are on no
//! disk, so that after a restart such a process is given another session beside its old one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::{Ledger, SessionCell};
use crate::model::id::SessionId;
use crate::model::record::SessionRecord;
use crate::model::secret::SessionToken;
use crate::model::session::Verdict;
use crate::model::time::Timestamp;

/// The credentials by their sessions.
#[derive(Default)]
pub(super) struct Shown(Mutex<HashMap<SessionId, SessionToken>>);

impl Shown {
    /// Keeps a credential.
    pub(super) fn keep(&self, id: SessionId, token: SessionToken) {
        self.lock().insert(id, token);
    }

    /// The living session that is `wanted` in all but its credential and its times. That it is
    /// shown counts as a use.
    pub(super) fn again(
        &self,
        ledger: &Ledger,
        wanted: &SessionRecord,
        now: Timestamp,
    ) -> Option<(Arc<SessionCell>, SessionToken)> {
        let mut held = self.lock();
        let mut cells: Vec<_> = held
            .keys()
            .filter_map(|id| ledger.session_by_id(*id))
            .collect();
        cells.retain(|cell| matches!(cell.verdict(now), Verdict::Live { .. }));
        held.retain(|id, _| cells.iter().any(|cell| cell.id() == *id));
        let cell = cells.into_iter().find(|cell| is(cell, wanted))?;
        cell.touch(now).ok()?;
        let token = held.get(&cell.id())?.clone();
        Some((cell, token))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, SessionToken>> {
        // A map of whole values is whole whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is(cell: &SessionCell, wanted: &SessionRecord) -> bool {
    let bound = (cell.bound(), wanted.bound.as_ref());
    matches!(bound, (Some(one), Some(other)) if one.is(other))
        && cell.origin() == wanted.origin
        && cell.label() == wanted.label.as_deref()
        && cell.client() == wanted.client.as_deref()
        && *cell.grant() == wanted.grant
        && *cell.policy() == wanted.policy
}
