//! When a session that the upstream lost is opened anew: once for all requests that meet the
//! loss, not again right after it failed, and not for ever.

use std::time::Duration;

use crate::model::time::Timestamp;

/// How often in [`WINDOW`] one session is opened anew.
const OFTEN: usize = 3;
/// The time in which that is counted.
const WINDOW: Duration = Duration::from_mins(1);

/// What a request knew of a session when it went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How often it had been opened anew.
    pub life: u64,
    /// How often that had failed.
    pub failures: u64,
}

/// What a request does that met the loss of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It opens the session anew.
    Open,
    /// It goes out once more: another request opened the session anew meanwhile.
    Repeat,
    /// It takes the answer that it got.
    Leave,
}

/// What is known of the attempts for one session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    last: [Option<Timestamp>; OFTEN],
}

impl Attempts {
    /// The same for a session that the upstream knows nothing of yet: opening it is no repeat of
    /// anything, so every request may try.
    pub fn first(seen: Seen, present: Seen) -> Course {
        if present.life != seen.life {
            Course::Repeat
        } else if present.failures != seen.failures {
            // It would most likely fail for this one as well.
            Course::Leave
        } else {
            Course::Open
        }
    }

    /// What a request does that had `seen` one state of the session and finds it in another at
    /// `now`. Asked by one request at a time.
    pub fn course(&mut self, seen: Seen, present: Seen, now: Timestamp) -> Course {
        let first = Self::first(seen, present);
        if first != Course::Open {
            return first;
        }
        if self.last[0].is_some_and(|oldest| now.since(oldest) < WINDOW) {
            return Course::Leave;
        }
        self.last.rotate_left(1);
        self.last[OFTEN - 1] = Some(now);
        Course::Open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(life: u64, failures: u64) -> Seen {
        Seen { life, failures }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn who_comes_second_goes_out_again_or_takes_what_it_got() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.course(seen(0, 0), seen(0, 0), at(9)), Course::Open);
        assert_eq!(
            attempts.course(seen(0, 0), seen(1, 0), at(9)),
            Course::Repeat
        );
        assert_eq!(
            attempts.course(seen(0, 0), seen(0, 1), at(9)),
            Course::Leave
        );
        // One that came after the failure may try.
        assert_eq!(attempts.course(seen(0, 1), seen(0, 1), at(9)), Course::Open);
    }

    #[test]
    fn three_a_minute_and_no_more() {
        let mut attempts = Attempts::default();
        let mut ask = |second| attempts.course(seen(0, 0), seen(0, 0), at(second));
        assert_eq!([ask(100), ask(110), ask(159)], [Course::Open; 3]);
        assert_eq!(ask(159), Course::Leave);
        assert_eq!(ask(160), Course::Open, "the first is a minute ago");
        assert_eq!(ask(169), Course::Leave);
        assert_eq!(ask(170), Course::Open);
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_three(mut times in proptest::collection::vec(0_u64..600, 0..60)) {
            times.sort_unstable();
            let mut attempts = Attempts::default();
            let opened: Vec<_> = times
                .into_iter()
                .filter(|second| {
                    attempts.course(seen(0, 0), seen(0, 0), at(*second)) == Course::Open
                })
                .collect();
            for four in opened.windows(OFTEN + 1) {
                prop_assert!(four[OFTEN] - four[0] >= WINDOW.as_secs());
            }
        }
    }
}
