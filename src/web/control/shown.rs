//! Credentials that may be shown a second time: those that a command prints for a process which
//! asks again and again. They are held in memory as long as their sessions live and are on no
//! disk, so that after a restart such a process is given another credential of its old session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::{Ledger, SessionCell};
use crate::model::id::SessionId;
use crate::model::record::{EndedBy, SessionOrigin, SessionRecord};
use crate::model::secret::SessionToken;
use crate::model::session::{Death, Verdict};
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

/// Credentials that one session may have been given later. Each stays good, and a daemon that dies
/// again and again must not make it many.
const MOST_LATER: usize = 16;

/// The living session that is `wanted` in all but its credential and its times, and whose
/// credential is not held any more. That it gets another one counts as a use.
pub(super) fn unseen(
    ledger: &Ledger,
    wanted: &SessionRecord,
    now: Timestamp,
) -> Option<Arc<SessionCell>> {
    let fits = |cell: &Arc<SessionCell>| is(cell, wanted) && cell.later().len() < MOST_LATER;
    let cells = ledger.sessions().into_iter();
    cells.filter(fits).find(|cell| cell.touch(now).is_ok())
}

/// The session of this process that a person has ended. Its program asks for another one by itself,
/// at the next 401: what was stopped would be back before anybody saw it stop.
pub(super) fn revoked(ledger: &Ledger, wanted: &SessionRecord) -> Option<Arc<SessionCell>> {
    let by_person = |cell: &Arc<SessionCell>| {
        let ending = cell.ending();
        ending.is_some_and(|it| it.death == Death::Revoked && it.by == EndedBy::Person)
    };
    let of_helper = |cell: &Arc<SessionCell>| {
        cell.origin() == SessionOrigin::Helper && wanted.origin == SessionOrigin::Helper
    };
    let mut cells = ledger.sessions();
    cells.retain(|cell| of_helper(cell) && by_person(cell) && of_same_process(cell, wanted));
    cells.into_iter().max_by_key(|cell| cell.minted())
}

fn of_same_process(cell: &SessionCell, wanted: &SessionRecord) -> bool {
    let bound = (cell.bound(), wanted.bound.as_ref());
    matches!(bound, (Some(one), Some(other)) if one.is(other))
}

fn is(cell: &SessionCell, wanted: &SessionRecord) -> bool {
    of_same_process(cell, wanted)
        && cell.origin() == wanted.origin
        && cell.label() == wanted.label.as_deref()
        && cell.client() == wanted.client.as_deref()
        && *cell.grant() == wanted.grant
        && *cell.policy() == wanted.policy
}
