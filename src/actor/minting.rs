//! Who may mint beside whom, and which sessions are on their way: one that is not written yet has its
//! id, and takes its place under `sessions.max`, all the same.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::id::SessionId;

/// Held while a session is minted.
#[derive(Debug)]
pub enum Turn<'a> {
    /// Nobody else mints.
    Alone(RwLockWriteGuard<'a, ()>),
    /// Others mint as well, and none of them alone.
    Beside(RwLockReadGuard<'a, ()>),
}

/// The turns and the places of one daemon.
#[derive(Debug, Default)]
pub struct Minting {
    turns: RwLock<()>,
    coming: Mutex<Coming>,
}

/// Sessions on their way.
#[derive(Debug, Default)]
struct Coming {
    ids: HashSet<SessionId>,
    /// How many of them have a place under the limit.
    placed: usize,
}

impl Minting {
    /// Waits until nobody mints.
    pub async fn alone(&self) -> Turn<'_> {
        Turn::Alone(self.turns.write().await)
    }

    /// Waits until nobody mints alone.
    pub async fn beside_others(&self) -> Turn<'_> {
        Turn::Beside(self.turns.read().await)
    }

    /// A session to come, with the first of `ids` that is free and that no other one to come has.
    pub fn begin(
        &self,
        mut ids: impl Iterator<Item = SessionId>,
        is_free: impl Fn(SessionId) -> bool,
    ) -> Option<Place<'_>> {
        let mut coming = self.coming();
        let id = ids.find(|id| is_free(*id) && !coming.ids.contains(id))?;
        coming.ids.insert(id);
        Some(Place {
            minting: self,
            id,
            placed: false,
        })
    }

    fn coming(&self) -> MutexGuard<'_, Coming> {
        // Nothing is half done under this lock.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of a session to come and its place under the limit, free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    minting: &'a Minting,
    id: SessionId,
    placed: bool,
}

impl Place<'_> {
    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Takes a place below `max`, beside those that live and those that are coming; `false` where
    /// there is none. `living` is told for how many there is room: below that it may say more than
    /// there are.
    pub fn take(&mut self, living: impl FnOnce(usize) -> usize, max: usize) -> bool {
        let mut coming = self.minting.coming();
        let room = max.saturating_sub(coming.placed);
        if living(room) >= room {
            return false;
        }
        coming.placed += 1;
        self.placed = true;
        true
    }

    /// Has `insert` make the session one that lives; nobody counts it twice, or not at all.
    pub fn fill(mut self, insert: impl FnOnce()) {
        let mut coming = self.minting.coming();
        insert();
        coming.placed -= usize::from(std::mem::take(&mut self.placed));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut coming = self.minting.coming();
        coming.ids.remove(&self.id);
        coming.placed -= usize::from(self.placed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Minting;
    use crate::model::id::SessionId;

    fn ids(from: u64) -> impl Iterator<Item = SessionId> {
        (from..).map(SessionId::from_random)
    }

    #[test]
    fn a_place_is_taken_from_the_first_moment_and_given_back_where_it_was_not_filled() {
        let minting = Minting::default();
        let living = Cell::new(1);
        let place = || {
            let mut place = minting.begin(ids(0), |_| true).expect("an id");
            place.take(|_| living.get(), 3).then_some(place)
        };
        let first = place().expect("one of two");
        let second = place().expect("the other");
        assert!(place().is_none(), "one lives and two are coming");
        drop(second);
        let second = place().expect("free again");
        first.fill(|| living.set(2));
        assert!(place().is_none(), "two live and one is coming");
        second.fill(|| living.set(3));
        assert!(place().is_none(), "three live");
        living.set(2);
        assert!(place().is_some(), "one has ended");
    }

    #[test]
    fn two_that_are_minted_beside_one_another_never_have_the_same_id() {
        let minting = Minting::default();
        let [first, second, third] = [0, 1, 2].map(SessionId::from_random);
        let is_free = |id| id != second;
        let one = minting.begin(ids(0), is_free).expect("an id");
        assert_eq!(one.id(), first);
        let other = minting.begin(ids(0), is_free).expect("an id");
        assert_eq!(other.id(), third, "the first is coming, the second lives");
        drop(one);
        let again = minting.begin(ids(0), is_free).expect("an id");
        assert_eq!(again.id(), first, "it was never minted");
    }
}
