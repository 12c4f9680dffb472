//! Sessions that are written together. Making something durable takes the disk the same time for
//! one record as for a hundred: whatever is waiting when the store's thread comes to it goes into
//! one transaction, and everybody is answered after that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::StoreError;
use super::records::Records;
use crate::model::record::SessionRecord;

type Answer = oneshot::Sender<Result<(), StoreError>>;

/// Sessions on their way to the store, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Together(Mutex<Vec<(SessionRecord, Answer)>>);

impl Together {
    /// One more; whoever calls this sends a job after it that calls [`Together::write`].
    pub(super) fn add(&self, session: SessionRecord) -> oneshot::Receiver<Result<(), StoreError>> {
        let (done, answer) = oneshot::channel();
        self.waiting().push((session, done));
        answer
    }

    /// Writes all that wait. Nothing is there any more for the jobs of those that were written
    /// with an earlier one.
    pub(super) fn write(&self, records: Option<&mut Records>) {
        let waiting = std::mem::take(&mut *self.waiting());
        if waiting.is_empty() {
            return;
        }
        let (sessions, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let outcome = records
            .ok_or(StoreError::Closed)
            .and_then(|records| records.put_sessions(&sessions));
        for answer in answers {
            // Who does not wait any more was told that the disk is slow.
            let _ = answer.send(outcome.clone());
        }
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Vec<(SessionRecord, Answer)>> {
        // Nothing is half done under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
