//! How the directory learns that an actor has died, before anybody asks for it.

use actix::Message;
use tokio::sync::{Mutex, mpsc};

use crate::model::id::{AccountRef, SessionId};

/// Whose actor it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mortal {
    /// An account's.
    Account(AccountRef),
    /// A session's.
    Session(SessionId),
}

/// Answered by an actor that lives. The mailbox of a dead one closes some time after it: whoever
/// asks it until then is answered by that, so that asking is how to wait for it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Alive;

/// Where deaths are announced.
pub(super) struct Deaths {
    tell: mpsc::UnboundedSender<Mortal>,
    told: Mutex<mpsc::UnboundedReceiver<Mortal>>,
}

impl Default for Deaths {
    fn default() -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            tell,
            told: Mutex::new(told),
        }
    }
}

impl Deaths {
    /// What the actor of `whom` leaves behind.
    pub(super) fn notice(&self, whom: Mortal) -> DeathNotice {
        DeathNotice(Some((self.tell.clone(), whom)))
    }

    /// Waits for the next death.
    pub(super) async fn next(&self) -> Mortal {
        let mut told = self.told.lock().await;
        let next = told.recv().await;
        next.expect("a sender is kept beside it")
    }
}

/// Belongs to an actor: dropped with one that did not come to stop, it is an announcement.
pub(super) struct DeathNotice(Option<(mpsc::UnboundedSender<Mortal>, Mortal)>);

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
        if let Some((deaths, whom)) = self.0.take() {
            // Nobody listens any more only when the daemon ends.
            let _ = deaths.send(whom);
        }
    }
}
