//! Which of many things are kept: so many of each owner and so many in all, and the oldest go
//! first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// What may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one owner.
    pub each: usize,
    /// Of all together.
    pub all: usize,
    /// Bytes of all together.
    pub bytes: usize,
}

/// What is kept, in the order in which it came.
#[derive(Debug)]
pub struct Roll<O, K> {
    limits: Limits,
    next: u64,
    bytes: usize,
    entries: BTreeMap<u64, Entry<O, K>>,
    places: HashMap<K, u64>,
    of: HashMap<O, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Entry<O, K> {
    owner: O,
    key: K,
    bytes: usize,
}

impl<O: Copy + Eq + Hash, K: Copy + Eq + Hash> Roll<O, K> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            next: 0,
            bytes: 0,
            entries: BTreeMap::new(),
            places: HashMap::new(),
            of: HashMap::new(),
        }
    }

    /// Adds `key`, as the youngest, and says what has to go for it.
    pub fn add(&mut self, owner: O, key: K, bytes: usize) -> Vec<K> {
        self.remove(&key);
        let place = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.entries.insert(place, Entry { owner, key, bytes });
        self.places.insert(key, place);
        self.of.entry(owner).or_default().insert(place);
        let mut gone = Vec::new();
        while let Some(oldest) = self.too_much(owner) {
            self.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: &K) {
        let Some(place) = self.places.remove(key) else {
            return;
        };
        let Some(entry) = self.entries.remove(&place) else {
            return;
        };
        self.bytes -= entry.bytes;
        if let Some(places) = self.of.get_mut(&entry.owner) {
            places.remove(&place);
            if places.is_empty() {
                self.of.remove(&entry.owner);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next that has to go, after something of `owner` was added.
    fn too_much(&self, owner: O) -> Option<K> {
        let own = self.of.get(&owner)?;
        let place = if own.len() > self.limits.each {
            own.first()?
        } else if self.entries.len() > self.limits.all || self.bytes > self.limits.bytes {
            self.entries.first_key_value()?.0
        } else {
            return None;
        };
        Some(self.entries.get(place)?.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        each: 2,
        all: 3,
        bytes: 10,
    };

    #[test]
    fn the_oldest_of_its_owner_goes_first_and_then_the_oldest_of_all() {
        let mut roll = Roll::new(LIMITS);
        assert!(roll.add('a', 1, 1).is_empty());
        assert!(roll.add('b', 2, 1).is_empty());
        assert!(roll.add('a', 3, 1).is_empty());
        assert_eq!(roll.add('a', 4, 1), [1], "three of one owner");
        assert_eq!(roll.add('c', 5, 1), [2], "four in all");
        assert_eq!(roll.add('c', 6, 9), [3, 4], "eleven bytes and more");
        roll.remove(&5);
        assert_eq!(roll.len(), 1);
        roll.remove(&6);
        assert!(roll.is_empty() && roll.of.is_empty() && roll.bytes == 0);
    }

    #[test]
    fn what_comes_again_is_the_youngest() {
        let mut roll = Roll::new(LIMITS);
        roll.add('a', 1, 1);
        roll.add('a', 2, 1);
        roll.add('a', 1, 1);
        assert_eq!(roll.add('a', 3, 1), [2]);
    }

    proptest! {
        #[test]
        fn the_limits_hold_and_nothing_is_forgotten_unsaid(
            steps in proptest::collection::vec((0_u8..4, 0_u8..12, 0_usize..8, any::<bool>()), 0..60),
        ) {
            let mut roll = Roll::new(LIMITS);
            let mut kept = BTreeSet::new();
            for (owner, key, bytes, add) in steps {
                if add {
                    kept.insert(key);
                    for gone in roll.add(owner, key, bytes) {
                        prop_assert!(kept.remove(&gone));
                    }
                } else {
                    roll.remove(&key);
                    kept.remove(&key);
                }
                prop_assert_eq!(roll.len(), kept.len());
                prop_assert_eq!(roll.places.len(), kept.len());
                prop_assert!(roll.len() <= LIMITS.all && roll.bytes <= LIMITS.bytes);
                prop_assert!(roll.of.values().all(|own| own.len() <= LIMITS.each));
                let bytes: usize = roll.entries.values().map(|entry| entry.bytes).sum();
                prop_assert_eq!(roll.bytes, bytes);
            }
        }
    }
}
