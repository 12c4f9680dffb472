//! MCP sessions: what a server of the revisions 2025-03-26 to 2025-11-25 names in
//! `Mcp-Session-Id` (Streamable HTTP, Session Management). All agents of one account have one
//! identity upstream, so it is for us to tell whose session is whose (MCP 2025-11-25, security
//! best practices, Session Hijacking). The revisions after those have no sessions, and their
//! requests come nowhere near this.

mod broken;
mod endpoint;
mod events;
mod hello;
mod identity;
mod loss;
mod record;
mod repair;
mod roll;
pub mod standin;
mod subscriptions;

pub use broken::{Broken, Purpose, Then};
pub use endpoint::{BadEndpoint, First, LONGEST_FIRST_EVENT, first_event, target_of};
pub use events::data_of_events;
pub use hello::{INITIALIZED, LONGEST_WELCOME, Welcome, is_hello};
pub use identity::{Epoch, Identity, Likeness, compare};
pub use loss::{LONGEST_ANSWER, LossOf, is_lost, is_suspicious};
pub use record::{McpRecord, SignedIn};
pub use repair::{Attempts, Course, Seen};
pub use roll::{Limits, Roll};
pub use subscriptions::{Change, Subscriptions};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::id::SessionId;

/// Reads a JSON object; a structure would be read from a list as well.
fn object<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let object = text.trim_ascii_start().first() == Some(&b'{');
    object.then(|| serde_json::from_slice(text).ok()).flatten()
}

/// Which agent sessions were told an id by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opener {
    /// One; `None` for agents without a session, where none is required.
    One(Option<SessionId>),
    /// More than one: the server gives the same id to everybody, so that it tells nobody apart.
    Several,
}

/// How an MCP session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who opened it.
    pub by: Opener,
    /// Under which sign-in; `None` where the daemon signs in nobody.
    pub under: Option<Epoch>,
}

impl Opened {
    /// What is known once the upstream has given the same id again.
    #[must_use]
    pub fn again(self, by: Option<SessionId>, under: Option<Epoch>) -> Self {
        let same = self.by == Opener::One(by) || self.under != under;
        Self {
            by: if same {
                Opener::One(by)
            } else {
                Opener::Several
            },
            under,
        }
    }

    /// Whether the agent session `by` may use it.
    pub fn admits(self, by: Option<SessionId>) -> bool {
        match self.by {
            Opener::One(opener) => opener == by,
            Opener::Several => true,
        }
    }

    /// How whoever is signed in at `now` compares with the one it was opened for.
    pub fn compare(self, now: Option<Epoch>) -> Likeness {
        compare(self.under, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> (Epoch, Epoch) {
        let now = Epoch::default();
        (now, now.after(Likeness::Other))
    }

    #[test]
    fn only_its_opener_may_use_a_session() {
        let (ann, bob) = (SessionId::from_random(1), SessionId::from_random(2));
        for (by, other) in [(Some(ann), Some(bob)), (Some(ann), None), (None, Some(ann))] {
            let opened = Opened {
                by: Opener::One(by),
                under: None,
            };
            assert!(opened.admits(by) && !opened.admits(other));
            assert!(opened.again(by, None).admits(by));
            assert!(!opened.again(by, None).admits(other));
        }
    }

    #[test]
    fn an_id_that_everybody_gets_belongs_to_nobody() {
        let (ann, bob) = (SessionId::from_random(1), SessionId::from_random(2));
        let (now, later) = epochs();
        let opened = Opened {
            by: Opener::One(Some(ann)),
            under: Some(now),
        };
        let both = opened.again(Some(bob), Some(now));
        assert_eq!(both.by, Opener::Several);
        assert!(both.admits(Some(ann)) && both.admits(Some(bob)));
        assert_eq!(both.again(Some(ann), Some(now)).by, Opener::Several);
        let after = both.again(Some(ann), Some(later));
        assert_eq!(
            after.by,
            Opener::One(Some(ann)),
            "another sign-in starts anew"
        );
    }

    #[test]
    fn a_session_compares_by_the_sign_in_it_was_opened_under() {
        let (now, later) = epochs();
        let opened = |under| Opened {
            by: Opener::One(None),
            under,
        };
        assert_eq!(opened(Some(now)).compare(Some(now)), Likeness::Same);
        assert_eq!(opened(Some(now)).compare(Some(later)), Likeness::Other);
        assert_eq!(opened(None).compare(Some(now)), Likeness::Same);
        assert_eq!(opened(Some(now)).compare(None), Likeness::Same);
    }
}
