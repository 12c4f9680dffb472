//! Calls for a person: an agent has met an account that somebody must sign in to. Requests ring and
//! go on; who shows it to people takes the rings, one after the other.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::id::AccountRef;

/// Rings that nobody has taken. Each account rings once in an outage, so this is many accounts.
const LONGEST: usize = 64;

/// A call for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Whom somebody must sign in for.
    pub account: AccountRef,
    /// What agents are told of it.
    pub words: String,
}

/// The calls that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Doorbell {
    waiting: Mutex<VecDeque<Ring>>,
    rung: Notify,
}

impl Doorbell {
    /// Calls for a person. Returns at once; the oldest call goes where nobody takes any.
    pub fn ring(&self, ring: Ring) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == LONGEST {
            waiting.pop_front();
        }
        waiting.push_back(ring);
        drop(waiting);
        self.rung.notify_one();
    }

    /// The next call, when there is one.
    pub async fn next(&self) -> Ring {
        loop {
            match self.take() {
                Some(ring) => return ring,
                None => self.rung.notified().await,
            }
        }
    }

    fn take(&self) -> Option<Ring> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn calls_are_taken_in_their_order_and_the_oldest_are_lost() {
        let bell = Doorbell::default();
        assert!(bell.next().now_or_never().is_none());
        for number in 0..=LONGEST {
            bell.ring(Ring {
                account: format!("a{number}").parse().expect("a name"),
                words: String::new(),
            });
        }
        let next = || {
            bell.next()
                .now_or_never()
                .map(|ring| ring.account.to_string())
        };
        for number in 1..=LONGEST {
            assert_eq!(next(), Some(format!("a{number}")));
        }
        assert_eq!(next(), None);
    }
}
