//! Calls that wait, each for somebody: bounded, and fair to those they are for. Where there is no
//! room for all, whoever has the most waiting gives way to whoever has less.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// One that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// There is no room, and nobody has more waiting than whoever came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls wait already")]
pub struct Full;

/// Those that wait, by whom they wait for. `K` is who, `W` is what is woken.
#[derive(Debug)]
pub struct Crowd<K, W> {
    lines: HashMap<K, VecDeque<(Ticket, W)>>,
    /// Who has some waiting, in the order of their turns.
    ring: VecDeque<K>,
    waiting: usize,
    most: usize,
    next: u64,
}

impl<K: Copy + Eq + Hash, W> Crowd<K, W> {
    /// Room for `most`.
    pub fn new(most: usize) -> Self {
        Self {
            lines: HashMap::new(),
            ring: VecDeque::new(),
            waiting: 0,
            most,
            next: 0,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Lets one wait. Gives back the one that has to leave for it: the newest of whoever has the
    /// most.
    pub fn enter(&mut self, who: K, woken: W) -> Result<(Ticket, Option<W>), Full> {
        let left = if self.waiting < self.most {
            None
        } else {
            Some(self.make_room(who)?)
        };
        let ticket = Ticket(self.next);
        self.next += 1;
        let line = self.lines.entry(who).or_default();
        if line.is_empty() {
            self.ring.push_back(who);
        }
        line.push_back((ticket, woken));
        self.waiting += 1;
        Ok((ticket, left))
    }

    fn make_room(&mut self, who: K) -> Result<W, Full> {
        let own = self.lines.get(&who).map_or(0, VecDeque::len);
        let largest = self.lines.iter().max_by_key(|(_, line)| line.len());
        let (&largest, length) = largest.map(|(who, line)| (who, line.len())).ok_or(Full)?;
        // Nobody is sent away to make things even more uneven the other way.
        if length <= own + 1 {
            return Err(Full);
        }
        let newest = self.lines.get_mut(&largest).and_then(VecDeque::pop_back);
        let (_, woken) = newest.ok_or(Full)?;
        self.waiting -= 1;
        self.tidy(largest);
        Ok(woken)
    }

    /// One does not wait any more, for whatever reason.
    pub fn leave(&mut self, who: K, ticket: Ticket) {
        let Some(line) = self.lines.get_mut(&who) else {
            return;
        };
        if let Ok(at) = line.binary_search_by_key(&ticket.0, |(ticket, _)| ticket.0) {
            line.remove(at);
            self.waiting -= 1;
        }
        self.tidy(who);
    }

    /// The oldest of whoever is next among those that `may`; all others come before them again.
    pub fn take(&mut self, may: impl Fn(&K) -> bool) -> Option<(K, W)> {
        let at = self.ring.iter().position(may)?;
        let who = self.ring.remove(at)?;
        let (_, woken) = self.lines.get_mut(&who)?.pop_front()?;
        self.waiting -= 1;
        // Behind all others, where there is more to come.
        self.ring.push_back(who);
        self.tidy(who);
        Some((who, woken))
    }

    fn tidy(&mut self, who: K) {
        if self.lines.get(&who).is_some_and(VecDeque::is_empty) {
            self.lines.remove(&who);
            self.ring.retain(|other| *other != who);
        }
    }
}
