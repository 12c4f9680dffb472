//! Who may mint beside whom, and how many sessions are on their way: a session that is not written
//! yet takes its place under `sessions.max` all the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

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
    coming: Mutex<usize>,
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

    /// A place for one more session, where those that live and those that are coming leave one
    /// below `max`.
    pub fn place(&self, living: impl FnOnce() -> usize, max: usize) -> Option<Place<'_>> {
        let mut coming = self.coming();
        if living() + *coming >= max {
            return None;
        }
        *coming += 1;
        Some(Place(Some(self)))
    }

    fn coming(&self) -> MutexGuard<'_, usize> {
        // A number is whole whatever panicked.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place under the limit, free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a>(Option<&'a Minting>);

impl Place<'_> {
    /// Has `insert` make the session one that lives; nobody counts it twice, or not at all.
    pub fn fill(mut self, insert: impl FnOnce()) {
        if let Some(minting) = self.0.take() {
            let mut coming = minting.coming();
            insert();
            *coming -= 1;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(minting) = self.0 {
            *minting.coming() -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Minting;

    #[test]
    fn a_place_is_taken_from_the_first_moment_and_given_back_where_it_was_not_filled() {
        let minting = Minting::default();
        let living = Cell::new(1);
        let place = || minting.place(|| living.get(), 3);
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
}
