//! Who may call an upstream now, who waits for that, and who waits for something else: the shell
//! around `model::turns`. Nothing here is taken by a call that finds a place and a credential
//! beyond one short lock.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::id::SessionId;
use crate::model::turns::{Crowd, Full, Ticket, Turns};

/// Whose calls take turns: a session's, or those of all that need none.
type Who = Option<SessionId>;

/// The places at one upstream account.
pub struct Places {
    turns: Mutex<Turns<Who, oneshot::Sender<Running>>>,
}

/// A running call; ends when dropped.
pub struct Running {
    places: Arc<Places>,
    who: Who,
}

impl Places {
    /// So many calls at once, and room for `most` that wait.
    pub fn new(places: usize, most: usize) -> Arc<Self> {
        Arc::new(Self {
            turns: Mutex::new(Turns::new(places, most)),
        })
    }

    /// A place for a call of `who`, where it may have one now.
    pub fn begin(self: &Arc<Self>, who: Who) -> Option<Running> {
        let may = self.turns().begin(who);
        may.then(|| Running::new(self, who))
    }

    /// Waits for a place, in turn with the other sessions. `None`: none came in time, or too many
    /// wait already.
    pub async fn wait(self: &Arc<Self>, who: Who, patience: Duration) -> Option<Running> {
        let (woken, turn) = oneshot::channel();
        let ticket = {
            let mut turns = self.turns();
            if turns.begin(who) {
                return Some(Running::new(self, who));
            }
            // Whoever has to leave for this one finds its channel closed.
            let (ticket, _left) = turns.wait(who, woken).ok()?;
            ticket
        };
        let _waits = Waits(|| self.turns().leave(who, ticket));
        tokio::time::timeout(patience, turn).await.ok()?.ok()
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.turns().waiting()
    }

    fn turns(&self) -> MutexGuard<'_, Turns<Who, oneshot::Sender<Running>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Who, oneshot::Sender<Running>)> {
        self.turns().admit()
    }
}

impl Running {
    fn new(places: &Arc<Places>, who: Who) -> Self {
        Self {
            places: Arc::clone(places),
            who,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.places.turns().end(self.who);
        while let Some((who, woken)) = self.places.next() {
            // One that has gone gives its place back as it is dropped here.
            let _ = woken.send(Self::new(&self.places, who));
        }
    }
}

/// Calls that wait for something other than a place: a refresh, a person.
pub struct Room {
    crowd: Mutex<Crowd<Who, oneshot::Sender<Infallible>>>,
}

impl Room {
    /// Room for `most`.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            crowd: Mutex::new(Crowd::new(most)),
        })
    }

    /// Waits for `what`, if there is room for that, and as long as nobody with fewer calls needs
    /// the room.
    pub async fn wait<T>(&self, who: Who, what: impl Future<Output = T>) -> Result<T, Full> {
        let (woken, displaced) = oneshot::channel();
        let (ticket, left): (Ticket, _) = self.crowd().enter(who, woken)?;
        drop(left);
        let _waits = Waits(|| self.crowd().leave(who, ticket));
        tokio::select! {
            biased;
            done = what => Ok(done),
            _ = displaced => Err(Full),
        }
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.crowd().len()
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd<Who, oneshot::Sender<Infallible>>> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does something when it is dropped, however that comes.
struct Waits<F: FnMut()>(F);

impl<F: FnMut()> Drop for Waits<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn two() -> [Who; 2] {
        [1, 2].map(|number| Some(SessionId::from_random(number)))
    }

    #[tokio::test]
    async fn a_place_goes_to_who_waits_and_back_where_nobody_does() {
        let (places, [one, two]) = (Places::new(1, 2), two());
        let running = places.begin(one).expect("free");
        assert!(places.begin(two).is_none());
        assert!(places.wait(two, Duration::ZERO).await.is_none());
        let (next, ()) = tokio::join!(places.wait(two, LONG), async { drop(running) });
        drop(next.expect("its turn"));
        // One that gives up as its turn comes loses no place.
        let running = places.begin(one).expect("free again");
        {
            let waits = places.wait(two, LONG);
            tokio::pin!(waits);
            assert!(futures_util::poll!(waits.as_mut()).is_pending());
            drop(running);
        }
        assert!(places.begin(one).is_some());
    }

    #[tokio::test]
    async fn who_has_most_waiting_leaves_for_who_has_less() {
        let (room, [one, two]) = (Room::new(2), two());
        let forever = std::future::pending::<()>;
        let mut first = Box::pin(room.wait(one, forever()));
        let mut second = Box::pin(room.wait(one, forever()));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(room.wait(one, async {}).await, Err(Full));
        assert_eq!(room.wait(two, async {}).await, Ok(()));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(matches!(
            futures_util::poll!(&mut second),
            std::task::Poll::Ready(Err(Full))
        ));
    }
}
