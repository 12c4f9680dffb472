//! An MCP session as it outlives the daemon: an agent that was connected before a restart goes on
//! after it.

use serde::{Deserialize, Serialize};

use super::{Change, Identity, Likeness, Opener, Subscriptions};
use crate::model::id::AccountRef;
use crate::model::time::Timestamp;

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpRecord {
    /// The upstream account it is at.
    pub account: AccountRef,
    /// The id that the agent knows.
    pub told: String,
    /// The agent's own `initialize`.
    pub hello: Option<String>,
    /// Whether the daemon opened it in the place of the server.
    pub stood_in: bool,
    /// Whether its agent is to be told that its lists have changed.
    pub owed: bool,
    /// Who opened it.
    pub by: Opener,
    /// How often it was opened anew.
    pub number: u64,
    /// Its id upstream.
    pub id: Option<String>,
    /// The revision that was agreed on upstream, where the agent was told one before.
    pub revision: Option<String>,
    /// What it is subscribed to.
    pub subscriptions: Vec<String>,
    /// From which level on it hears log messages.
    #[serde(default)]
    pub level: Option<String>,
    /// The sign-in it was opened under; `None` where the daemon signs in nobody.
    pub under: Option<SignedIn>,
}

/// A sign-in, as far as it can be told from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// When it was.
    pub at: Timestamp,
    /// The authorization server.
    pub issuer: String,
    /// The person there, where known.
    pub who: Option<String>,
}

impl SignedIn {
    /// Whether what was begun under this sign-in may go on under the sign-in `now`: it is the same,
    /// or certainly of the same person.
    pub fn lasts(&self, now: &Self) -> bool {
        self == now || self.identity().compare(&now.identity()) == Likeness::Same
    }

    fn identity(&self) -> Identity {
        Identity {
            issuer: self.issuer.clone(),
            who: self.who.clone(),
        }
    }
}

impl McpRecord {
    /// Whether it may be taken up again while `now` is signed in.
    pub fn lasts(&self, now: Option<&SignedIn>) -> bool {
        let waits = self.stood_in && self.number == 0;
        match (&self.under, now) {
            // Nobody's: it was never opened, or nobody signs in.
            (None, None) => true,
            (None, Some(_)) => waits,
            (Some(then), Some(now)) => then.lasts(now),
            (Some(_), None) => false,
        }
    }

    /// What it is subscribed to.
    pub fn subscribed(&self) -> Subscriptions {
        let mut subscriptions = Subscriptions::default();
        for uri in &self.subscriptions {
            subscriptions.apply(Change::Add(uri.clone()));
        }
        if let Some(level) = &self.level {
            subscriptions.apply(Change::Level(level.clone()));
        }
        subscriptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_in(at: u64, who: Option<&str>) -> SignedIn {
        SignedIn {
            at: Timestamp::from_millis(at),
            issuer: "https://a".to_owned(),
            who: who.map(str::to_owned),
        }
    }

    fn record(under: Option<SignedIn>, stood_in: bool, number: u64) -> McpRecord {
        McpRecord {
            account: "a".parse().expect("a name"),
            told: "1".to_owned(),
            hello: None,
            stood_in,
            owed: false,
            by: Opener::One(None),
            number,
            id: None,
            revision: None,
            subscriptions: Vec::new(),
            level: None,
            under,
        }
    }

    #[test]
    fn a_session_lasts_for_whoever_opened_it() {
        let ann = signed_in(1, Some("ann"));
        let opened = record(Some(ann.clone()), false, 0);
        assert!(opened.lasts(Some(&ann)));
        assert!(opened.lasts(Some(&signed_in(2, Some("ann")))));
        assert!(!opened.lasts(Some(&signed_in(2, Some("bob")))));
        assert!(!opened.lasts(Some(&signed_in(2, None))), "nobody can tell");
        assert!(!opened.lasts(None));
        let nameless = record(Some(signed_in(1, None)), false, 0);
        assert!(nameless.lasts(Some(&signed_in(1, None))));
        assert!(!nameless.lasts(Some(&signed_in(2, None))));
        let waiting = record(None, true, 0);
        assert!(waiting.lasts(None) && waiting.lasts(Some(&ann)));
        let open = record(None, false, 0);
        assert!(open.lasts(None) && !open.lasts(Some(&ann)));
    }
}
