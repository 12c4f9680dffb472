//! When a session lives and when it is dead: one pure function over its facts and its policy.
//!
//! Two windows slide with use and one optional ceiling does not. The end is computed, never
//! stored, so that it cannot disagree with its parts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{AccountRef, UpstreamName};
use super::time::Timestamp;

#[cfg(test)]
mod tests;

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPolicy {
    /// Reclaimed when unused this long; does not run while a bound process lives or a stream is
    /// open.
    pub idle: Duration,
    /// Slides with every use.
    pub ttl: Duration,
    /// A ceiling from the minting on, whatever the use.
    pub max_age: Option<Duration>,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            idle: DAY,
            ttl: DAY * 30,
            max_age: None,
        }
    }
}

/// Whether the process that a session is bound to lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The session is bound to no process.
    Unbound,
    /// The process lives.
    Alive,
    /// The process has ended.
    Gone,
}

/// What is known of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// When it was minted.
    pub minted: Timestamp,
    /// When it was last used; the minting counts as a use.
    pub last_used: Timestamp,
    /// How many streams it has open.
    pub streams: u32,
    /// Its process.
    pub bound: Liveness,
}

/// The judgement on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Alive up to and including `until`, were nothing to happen to it.
    Live {
        /// The last instant at which it is alive.
        until: Timestamp,
    },
    /// Over, and why.
    Dead(Death),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// Quiet for longer than `idle`.
    Idle,
    /// Unused for longer than `ttl`, or older than `max_age`.
    Lapsed,
    /// Ended by a person, by the end of its process, or by a session that replaced it.
    Revoked,
}

/// Whether the session lives at `now`.
pub fn judge(facts: &SessionFacts, policy: &SessionPolicy, now: Timestamp) -> Verdict {
    let lapse = lapses_at(facts, policy);
    if now > lapse {
        return Verdict::Dead(Death::Lapsed);
    }
    let idle = facts.last_used.plus(policy.idle);
    if facts.streams > 0 || facts.bound == Liveness::Alive {
        return Verdict::Live { until: lapse };
    }
    if now > idle {
        return Verdict::Dead(Death::Idle);
    }
    Verdict::Live {
        until: lapse.min(idle),
    }
}

/// The end that no stream and no process holds off: the nearer of the sliding `ttl` and the
/// ceiling.
pub fn lapses_at(facts: &SessionFacts, policy: &SessionPolicy) -> Timestamp {
    let ceiling = policy
        .max_age
        .map_or(Timestamp::MAX, |age| facts.minted.plus(age));
    facts.last_used.plus(policy.ttl).min(ceiling)
}

/// What a session may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Every upstream there is and will be.
    All,
    /// These accounts only.
    Only(Vec<AccountRef>),
}

impl Grant {
    /// The same for the time in which an upstream gets another name: both names are covered.
    /// `None` where it makes no difference.
    pub fn under_both_names(&self, old: &UpstreamName, new: &UpstreamName) -> Option<Self> {
        let Self::Only(accounts) = self else {
            return None;
        };
        let mut wider = accounts.clone();
        for account in accounts.iter().filter(|it| it.upstream == *old) {
            let renamed = AccountRef {
                upstream: new.clone(),
                account: account.account.clone(),
            };
            if !wider.contains(&renamed) {
                wider.push(renamed);
            }
        }
        (wider.len() > accounts.len()).then_some(Self::Only(wider))
    }

    /// The same without the accounts of an upstream. `None` where it makes no difference.
    pub fn without(&self, upstream: &UpstreamName) -> Option<Self> {
        let Self::Only(accounts) = self else {
            return None;
        };
        let others = accounts.iter().filter(|it| it.upstream != *upstream);
        let others: Vec<_> = others.cloned().collect();
        (others.len() < accounts.len()).then_some(Self::Only(others))
    }

    /// Whether `account` is in it.
    pub fn covers(&self, account: &AccountRef) -> bool {
        match self {
            Self::All => true,
            Self::Only(accounts) => accounts.contains(account),
        }
    }
}
