//! Instants as milliseconds since the epoch. Arithmetic saturates: no clock, however wrong, makes
//! the daemon panic or wrap around.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant that no other instant is before.
    pub const MIN: Self = Self(0);
    /// The instant that no other instant is after; "never" in computations of an end.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant and `duration`; [`Timestamp::MAX`] where that does not fit.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This instant less `duration`; [`Timestamp::MIN`] where that does not fit.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long `self` is after `earlier`; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with second precision, as all JSON answers carry it.
    pub fn rfc3339(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis)
            .unwrap_or(jiff::Timestamp::MAX)
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Without numbers of 128 bits: every look at the clock comes by here.
fn millis(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1000);
    seconds.saturating_add(u64::from(duration.subsec_millis()))
}

/// A length of time for people, in at most `units` units: `3d 4h`, `52m`, `0s`.
pub fn brief(length: Duration, units: usize) -> String {
    const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let seconds = length.as_secs();
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit);
    let Some(largest) = largest else {
        return "0s".to_owned();
    };
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, letter) in UNITS.iter().skip(largest).take(units.max(1)) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count}{letter}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_for_people() {
        let of = |seconds, units| brief(Duration::from_secs(seconds), units);
        assert_eq!(of(0, 1), "0s");
        assert_eq!(of(59, 2), "59s");
        assert_eq!(of(3120, 1), "52m");
        assert_eq!(of(292, 2), "4m 52s");
        assert_eq!(of(3 * 86_400 + 4 * 3600 + 5, 2), "3d 4h");
        assert_eq!(of(30 * 86_400, 2), "30d");
    }
}
