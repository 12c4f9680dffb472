//! Which program a daemon runs, as far as it decides who takes over from whom.

use std::cmp::Ordering;

use semver::Version;

use super::time::Timestamp;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// Its version, as in `0.4.0`.
    pub version: String,
    /// When its file was written; whole seconds. Unknown where a daemon does not tell, as old ones
    /// do not.
    pub made: Option<Timestamp>,
}

impl Edition {
    /// How this program stands to another one. The version decides; between two of one version,
    /// the time at which they were built or installed, which tells apart what developers build.
    ///
    /// `Equal` is one and the same as far as can be told: nothing is to be replaced then.
    pub fn compared(&self, other: &Self) -> Ordering {
        let precedence = |edition: &Self| Version::parse(&edition.version).ok();
        // A version that cannot be read is before any that can.
        let versions = match (precedence(self), precedence(other)) {
            (Some(one), Some(two)) => one.cmp_precedence(&two),
            (one, two) => one.is_some().cmp(&two.is_some()),
        };
        versions.then_with(|| match (self.made, other.made) {
            (Some(one), Some(two)) => one.cmp(&two),
            (None, _) | (_, None) => Ordering::Equal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edition(version: &str, made: Option<u64>) -> Edition {
        Edition {
            version: version.to_owned(),
            made: made.map(|seconds| Timestamp::from_millis(seconds * 1000)),
        }
    }

    #[test]
    fn the_version_decides_and_then_the_time() {
        let order = [
            edition("what", Some(9)),
            edition("0.9.0", Some(9)),
            edition("0.10.0-rc.1", Some(8)),
            edition("0.10.0", Some(3)),
            edition("0.10.0", Some(4)),
            edition("1.0.0", Some(1)),
        ];
        for (place, one) in order.iter().enumerate() {
            for (other_place, other) in order.iter().enumerate() {
                assert_eq!(
                    one.compared(other),
                    place.cmp(&other_place),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_the_same() {
        let one = edition("0.4.0", Some(5));
        assert_eq!(one.compared(&edition("0.4.0", None)), Ordering::Equal);
        assert_eq!(
            one.compared(&edition("0.4.0+abc", Some(5))),
            Ordering::Equal
        );
        let older = edition("0.3.0", None);
        assert_eq!(one.compared(&older), Ordering::Greater);
        assert_eq!(older.compared(&one), Ordering::Less);
    }
}
