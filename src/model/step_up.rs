//! Whether a person is asked for more permission once more. A resource that wants scopes which it
//! was given goes on wanting them: agents repeat such calls, and nobody signs in for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use super::time::Timestamp;

/// How many sign-ins may be refused for the same scopes: the first one, and two more that were
/// made because of it (conformance auth/scope-retry-limit).
pub const LIMIT: usize = 3;

/// How long a refusal counts. Rights change: after that a person may try again.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How many sets of scopes are remembered for one account.
const SETS: usize = 16;

/// What is done about a call that was refused for want of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepUp {
    /// A sign-in that asks for them may help.
    Ask,
    /// It did not help often enough.
    Futile,
}

/// What a resource has refused for want of scopes lately.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Vec<Refused>);

#[derive(Clone, Debug)]
struct Refused {
    scopes: BTreeSet<String>,
    sign_ins: Vec<Timestamp>,
    latest: Timestamp,
}

impl Refusals {
    /// Notes that the resource wants `scopes` although it was given a token of the sign-in of
    /// `signed_in`. Tokens that were renewed since count as the same.
    pub fn note(&mut self, scopes: &str, signed_in: Timestamp, now: Timestamp) -> StepUp {
        self.0
            .retain(|refused| now <= refused.latest.plus(REMEMBERED));
        let scopes: BTreeSet<String> = scopes.split_ascii_whitespace().map(str::to_owned).collect();
        let at = self.0.iter().position(|refused| refused.scopes == scopes);
        let index = at.unwrap_or_else(|| {
            if self.0.len() == SETS {
                self.0.remove(0);
            }
            self.0.push(Refused {
                scopes,
                sign_ins: Vec::new(),
                latest: now,
            });
            self.0.len() - 1
        });
        let refused = &mut self.0[index];
        if refused.sign_ins.len() < LIMIT && !refused.sign_ins.contains(&signed_in) {
            refused.sign_ins.push(signed_in);
            refused.latest = now;
        }
        if refused.sign_ins.len() < LIMIT {
            StepUp::Ask
        } else {
            StepUp::Futile
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus(Duration::from_hours(hours))
    }

    #[test]
    fn oc_stepup_retry_limit_counts_sign_ins_for_the_same_scopes() {
        let mut refusals = Refusals::default();
        for _ in 0..50 {
            assert_eq!(refusals.note("a b", at(0), at(9)), StepUp::Ask);
        }
        assert_eq!(refusals.note("b a", at(1), at(9)), StepUp::Ask);
        assert_eq!(refusals.note("other", at(2), at(9)), StepUp::Ask);
        assert_eq!(refusals.note("a  b", at(2), at(9)), StepUp::Futile);
        assert_eq!(refusals.note("a b", at(2), at(9)), StepUp::Futile);
        assert_eq!(refusals.note("a b", at(3), at(10)), StepUp::Futile);
        assert_eq!(refusals.note("other", at(2), at(10)), StepUp::Ask);
        assert_eq!(
            refusals.note("a b", at(3), at(11)),
            StepUp::Ask,
            "forgotten: what may be done changes"
        );
    }

    #[test]
    fn no_server_makes_it_grow_without_end() {
        let mut refusals = Refusals::default();
        for n in 0..1000 {
            refusals.note(&format!("scope-{n}"), at(0), at(0));
        }
        assert_eq!(refusals.0.len(), SETS);
    }
}
