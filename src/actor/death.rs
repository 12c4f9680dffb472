//! How the directory learns that an actor has died, before anybody asks for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// How long after an actor its mailbox closes: its questions are dropped first, and whoever asked
/// them would find the dead one still there.
pub(super) const LAST_RITES: Duration = Duration::from_millis(10);

/// Where deaths are announced.
#[derive(Default)]
pub(super) struct Deaths(Arc<Notify>);

impl Deaths {
    /// What an actor leaves behind.
    pub(super) fn notice(&self) -> DeathNotice {
        DeathNotice(Some(Arc::clone(&self.0)))
    }

    /// Waits until one has died since the last time, and its mailbox is closed.
    pub(super) async fn next(&self) {
        self.0.notified().await;
        tokio::time::sleep(LAST_RITES).await;
    }
}

/// Belongs to an actor: dropped with one that did not come to stop, it is an announcement.
pub(super) struct DeathNotice(Option<Arc<Notify>>);

impl DeathNotice {
    /// The actor stops as it should: actix says so of one that panics as well.
    pub(super) fn withdraw(&mut self) {
        if !std::thread::panicking() {
            self.0 = None;
        }
    }
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        if let Some(deaths) = &self.0 {
            deaths.notify_one();
        }
    }
}
