//! Whom an account is signed in as, as far as MCP sessions have to know it: they end with a
//! sign-in that makes it somebody else's, and with nothing less.

/// Counts the sign-ins of an account since the daemon started, as far as they matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Counts those that are known to have made the account somebody else's.
    others: u64,
    /// Counts those after which nobody can tell.
    doubts: u64,
}

/// Whether two epochs are of one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They are.
    Same,
    /// The provider did not tell who signed in.
    Unknown,
    /// They are not.
    Other,
}

impl Epoch {
    /// Whether what was begun in this epoch was begun by the identity of the epoch `now`.
    pub fn compare(self, now: Self) -> Likeness {
        if self.others != now.others {
            Likeness::Other
        } else if self.doubts != now.doubts {
            Likeness::Unknown
        } else {
            Likeness::Same
        }
    }

    /// The epoch after a sign-in that compares like this with the one before.
    #[must_use]
    pub fn after(mut self, likeness: Likeness) -> Self {
        match likeness {
            Likeness::Same => {}
            Likeness::Unknown => self.doubts += 1,
            Likeness::Other => self.others += 1,
        }
        self
    }
}

/// The same where the daemon signs in somebody on one side only, or on neither: then there is
/// nobody to tell apart.
pub fn compare(then: Option<Epoch>, now: Option<Epoch>) -> Likeness {
    match (then, now) {
        (Some(then), Some(now)) => then.compare(now),
        _ => Likeness::Same,
    }
}

/// Whom an account is signed in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The authorization server.
    pub issuer: String,
    /// The person there; `None` where the provider does not tell.
    pub who: Option<String>,
}

impl Identity {
    /// Whether `later` is the same.
    pub fn compare(&self, later: &Self) -> Likeness {
        match (&self.who, &later.who) {
            _ if self.issuer != later.issuer => Likeness::Other,
            (Some(then), Some(now)) if then == now => Likeness::Same,
            (Some(_), Some(_)) => Likeness::Other,
            _ => Likeness::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issuer: &str, who: &str) -> Identity {
        Identity {
            issuer: issuer.to_owned(),
            who: Some(who.to_owned()).filter(|who| !who.is_empty()),
        }
    }

    #[test]
    fn another_issuer_or_another_person_is_another_identity() {
        let ann = identity("https://a", "ann");
        for (issuer, who, likeness) in [
            ("https://a", "ann", Likeness::Same),
            ("https://a", "bob", Likeness::Other),
            ("https://b", "ann", Likeness::Other),
            ("https://b", "", Likeness::Other),
            ("https://a", "", Likeness::Unknown),
        ] {
            let other = identity(issuer, who);
            assert_eq!(ann.compare(&other), likeness, "{other:?}");
            assert_eq!(other.compare(&ann), likeness, "{other:?}");
        }
    }

    #[test]
    fn an_epoch_remembers_the_worst_of_what_came_after_it() {
        let first = Epoch::default();
        assert_eq!(first.compare(first.after(Likeness::Same)), Likeness::Same);
        let doubted = first.after(Likeness::Unknown);
        assert_eq!(first.compare(doubted), Likeness::Unknown);
        let other = doubted.after(Likeness::Other);
        assert_eq!(first.compare(other), Likeness::Other);
        assert_eq!(doubted.compare(other), Likeness::Other);
        let later = other.after(Likeness::Unknown).after(Likeness::Same);
        assert_eq!(first.compare(later), Likeness::Other);
        assert_eq!(other.compare(later), Likeness::Unknown);
    }
}
