//! The only place that reads the time, and the only source of random bits: both are handed in
//! everywhere else, so that a test can own them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
use nix::time::{ClockId, clock_gettime};

use crate::model::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present wall-clock time. Every decision is made from it: monotonic time stands still
    /// while a machine sleeps.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[cfg(target_os = "linux")]
        if let Some(since) = ticked() {
            return Timestamp::MIN.plus(since);
        }
        Timestamp::MIN.plus(exact())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the time"
)]
fn exact() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO)
}

/// The time of the kernel's last tick, a few milliseconds ago at most. Each request asks several
/// times and nothing is decided in milliseconds; the exact time takes four times as long to tell.
/// Asked of the C library, so that whoever shifts the time of a process does so here too.
#[cfg(target_os = "linux")]
fn ticked() -> Option<Duration> {
    let time = clock_gettime(ClockId::CLOCK_REALTIME_COARSE).ok()?;
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec()).ok()?))
}

/// A clock that a test moves by hand.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.as_millis()))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets it, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Gives random bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` from a cryptographically secure source.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness nothing here can be done safely, and no caller could go on.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// Eight random bytes as a number, for ids and jitter.
pub fn random_u64(random: &dyn Random) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_last_tick_was_not_long_ago_and_is_not_ahead() {
        for _ in 0..1000 {
            let before = exact();
            let ticked = ticked().expect("a clock");
            assert!(ticked <= exact());
            assert!(before < ticked + Duration::from_secs(1));
        }
    }
}
