//! What `src/ledger/sync.rs` brings together, over loom. Its own types stand for those of the
//! standard library; a credential behind a lock for one behind an `ArcSwapOption`, whose loads and
//! stores are in one order as well; and a count behind a lock for tokio's `Notify`, of which the
//! ledger uses one promise: who has asked before `notify_waiters` is woken by it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) use loom::sync::Mutex;
pub(super) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};

pub(super) struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for ArcSwapOption<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> ArcSwapOption<T> {
    pub(super) fn load_full(&self) -> Option<Arc<T>> {
        self.0.lock().expect("no panic").clone()
    }

    pub(super) fn store(&self, value: Option<Arc<T>>) {
        *self.0.lock().expect("no panic") = value;
    }
}

#[derive(Default)]
pub(super) struct Notify(Mutex<(u64, Vec<Waker>)>);

impl Notify {
    pub(super) fn notified(&self) -> Notified<'_> {
        let seen = self.0.lock().expect("no panic").0;
        Notified { notify: self, seen }
    }

    pub(super) fn notify_waiters(&self) {
        let mut state = self.0.lock().expect("no panic");
        state.0 += 1;
        let woken = std::mem::take(&mut state.1);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

pub(super) struct Notified<'a> {
    notify: &'a Notify,
    seen: u64,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.0.lock().expect("no panic");
        if state.0 != self.seen {
            return Poll::Ready(());
        }
        state.1.push(context.waker().clone());
        Poll::Pending
    }
}
