//! How fast credentials may be guessed. A right one never waits: it is not slowed down by what
//! others try. What is wrong waits for its answer once there were many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::time::Timestamp;

/// Wrong credentials in a row that are answered at once: an agent that has lost its session tries
/// a few times.
pub const BURST: u64 = 20;
/// After those, one of them a second is.
const EACH_MS: u64 = 1000;
/// What any other one waits for its answer. A connection carries one request at a time, so this is
/// also how often it can try.
pub const WAIT: Duration = Duration::from_secs(1);

/// Counts wrong credentials (the generic cell rate algorithm).
#[derive(Debug, Default)]
pub struct Guesses(AtomicU64);

impl Guesses {
    /// Notes one at `now`, and says how long its answer is held back.
    pub fn note(&self, now: Timestamp) -> Duration {
        let mut held = Duration::ZERO;
        // Whoever comes between two guesses is counted, not lost.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                let (next, wait) = step(due, now.as_millis());
                held = wait;
                Some(next)
            });
        held
    }
}

/// `due` is when the guesses so far would all have been allowed at the steady rate.
fn step(due: u64, now: u64) -> (u64, Duration) {
    let latest = now.saturating_add((BURST - 1) * EACH_MS);
    // A clock that was set back forgives.
    let due = due.clamp(now, latest.saturating_add(EACH_MS));
    if due > latest {
        (due, WAIT)
    } else {
        (due.saturating_add(EACH_MS), Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_answered_at_once_and_then_one_a_second() {
        let guesses = Guesses::default();
        let at = |ms: u64| guesses.note(Timestamp::from_millis(10_000_000 + ms));
        let before = |ms: u64| guesses.note(Timestamp::from_millis(ms));
        assert!((0..BURST).all(|_| at(0) == Duration::ZERO));
        assert_eq!(at(0), WAIT);
        assert_eq!(at(999), WAIT);
        assert_eq!(at(1000), Duration::ZERO);
        assert_eq!(at(1000), WAIT);
        // An hour of silence gives the burst back, and no more.
        assert!((0..BURST).all(|_| at(3_600_000) == Duration::ZERO));
        assert_eq!(at(3_600_000), WAIT);
        // So does a clock that is set back: nobody waits for a time that never comes.
        assert_eq!(before(5000), WAIT);
        assert_eq!(before(6000), Duration::ZERO);
    }
}
