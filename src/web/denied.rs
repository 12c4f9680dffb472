//! What the log tells of requests that come from where none should (protocol.md SE-13): each host and
//! origin once, and not without end, since a page can ask a thousand times a second.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use super::guard::Refusal;

/// How many are told of while a daemon runs.
const MOST: usize = 64;
/// At most so many characters of each are shown.
const LONGEST: usize = 120;

/// Those that were told of.
#[derive(Debug, Default)]
pub(super) struct Denied(Mutex<BTreeSet<String>>);

impl Denied {
    /// Tells of a refused request, if nothing like it was told of before.
    pub(super) fn note(&self, refusal: &Refusal) {
        let problem = &refusal.problem;
        let from = ["host", "origin"]
            .iter()
            .find_map(|name| problem.value(name));
        let from: String = from.unwrap_or_default().chars().take(LONGEST).collect();
        let code = problem.entry().code;
        // Nothing is done under the lock that could leave the set half changed.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST && told.insert(format!("{code} {from}")) {
            warn!(
                code,
                from, "a request was denied; others like it are not told of"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue::{Code, Problem};

    #[test]
    fn each_is_told_of_once_and_not_without_end() {
        let denied = Denied::default();
        let from = |host: &str| Refusal {
            problem: Box::new(Problem::new(Code::HostNotAllowed).with("host", host)),
            status: None,
        };
        for round in 0..3 {
            for host in 0..MOST * 2 {
                denied.note(&from(&format!("h{host}.example")));
            }
            let told = denied.0.lock().expect("unpoisoned").len();
            assert_eq!(told, MOST, "round {round}");
        }
    }
}
