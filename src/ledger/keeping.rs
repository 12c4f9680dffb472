//! What was done so that an agent did not lose a server: how often, and when last. Counted where it
//! is done; shown to who asks for a session.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::time::Timestamp;

/// Something that an agent was spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    /// The server could not be asked, and was answered for.
    Absence,
    /// The server had lost the MCP session, and it was opened anew.
    Loss,
    /// A stream had broken, and was gone on with.
    Break,
}

/// How often, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// When last; `None` for never.
    pub last: Option<Timestamp>,
}

/// What one session was spared since the daemon began.
#[derive(Debug, Default)]
pub struct Keeping {
    absence: Count,
    loss: Count,
    broken: Count,
}

#[derive(Debug, Default)]
struct Count {
    times: AtomicU64,
    /// In milliseconds.
    last: AtomicU64,
}

impl Keeping {
    /// Counts one more, at `now`.
    pub fn note(&self, spared: Spared, now: Timestamp) {
        let count = self.of(spared);
        count.last.fetch_max(now.as_millis(), Ordering::Relaxed);
        count.times.fetch_add(1, Ordering::Release);
    }

    /// What has been counted.
    pub fn tally(&self, spared: Spared) -> Tally {
        let count = self.of(spared);
        let times = count.times.load(Ordering::Acquire);
        let last = Timestamp::from_millis(count.last.load(Ordering::Relaxed));
        Tally {
            count: times,
            last: (times > 0).then_some(last),
        }
    }

    fn of(&self, spared: Spared) -> &Count {
        match spared {
            Spared::Absence => &self.absence,
            Spared::Loss => &self.loss,
            Spared::Break => &self.broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_for_itself() {
        let keeping = Keeping::default();
        for at in [7_000, 9_000, 8_000] {
            keeping.note(Spared::Loss, Timestamp::from_millis(at));
        }
        let last = Some(Timestamp::from_millis(9_000));
        assert_eq!(keeping.tally(Spared::Loss), Tally { count: 3, last });
        for never in [Spared::Absence, Spared::Break] {
            assert_eq!(keeping.tally(never), Tally::default());
        }
    }
}
