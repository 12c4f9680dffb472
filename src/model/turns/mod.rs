//! Whose turn it is at an upstream that is sent so many calls at once and no more. Sessions take
//! turns, however many calls each of them has waiting; and the last places are for sessions that
//! have none, so that one session's long calls never keep another from its first.

use std::hash::Hash;

use foldhash::HashMap;

mod crowd;
#[cfg(test)]
mod tests;

pub use crowd::{Crowd, Full, Ticket};

/// One place in so many is for sessions that have no call running.
const RESERVE: usize = 8;

/// The places at one upstream, those that have one, and those that wait for one.
#[derive(Debug)]
pub struct Turns<K, W> {
    free: usize,
    reserve: usize,
    running: HashMap<K, usize>,
    crowd: Crowd<K, W>,
}

impl<K: Copy + Eq + Hash, W> Turns<K, W> {
    /// `places`, and room for `most` that wait for one.
    pub fn new(places: usize, most: usize) -> Self {
        Self {
            free: places,
            reserve: places / RESERVE,
            running: HashMap::default(),
            crowd: Crowd::new(most),
        }
    }

    /// Takes a place for a call of `who`, where it may have one now.
    pub fn begin(&mut self, who: K) -> bool {
        let may = self.may(&who);
        if may {
            self.start(who);
        }
        may
    }

    /// Lets a call wait for its turn, as [`Crowd::enter`].
    pub fn wait(&mut self, who: K, woken: W) -> Result<(Ticket, Option<W>), Full> {
        self.crowd.enter(who, woken)
    }

    /// One does not wait any more.
    pub fn leave(&mut self, who: K, ticket: Ticket) {
        self.crowd.leave(who, ticket);
    }

    /// A call of `who` is over. To be followed by [`Turns::admit`] until there is none.
    pub fn end(&mut self, who: K) {
        self.free += 1;
        if let Some(running) = self.running.get_mut(&who) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(&who);
            }
        }
    }

    /// Whose turn it is: it has its place from now on.
    pub fn admit(&mut self) -> Option<(K, W)> {
        if self.free == 0 || self.crowd.is_empty() {
            return None;
        }
        let (running, scarce) = (&self.running, self.free <= self.reserve);
        let next = self
            .crowd
            .take(|who| !scarce || !running.contains_key(who))?;
        self.start(next.0);
        Some(next)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.crowd.len()
    }

    fn may(&self, who: &K) -> bool {
        self.free > self.reserve || self.free > 0 && !self.running.contains_key(who)
    }

    fn start(&mut self, who: K) {
        self.free -= 1;
        *self.running.entry(who).or_default() += 1;
    }
}
