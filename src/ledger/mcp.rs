//! The MCP sessions that agents opened: whose they are. Requests that name none do not come here;
//! those that do read a sharded table. Only the opening and the end of a session take a lock that
//! all share.

use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use sha2::{Digest, Sha256};

use super::DigestHasher;
use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::{Epoch, Limits, Opened, Opener, Roll};

/// What is kept: far more than agents have open, and some megabytes at most.
const LIMITS: Limits = Limits {
    each: 64,
    all: 4096,
    bytes: 8 << 20,
};

/// An account and an id of the upstream's, in a form of one length that nobody can aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct McpKey([u8; 32]);

impl McpKey {
    /// The key of the MCP session `id` of `account`.
    pub fn of(account: &AccountRef, id: &[u8]) -> Self {
        let mut digest = Sha256::new();
        // No name holds a zero.
        for part in [account.upstream.as_str(), account.account.as_str()] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        digest.update(id);
        Self(digest.finalize().into())
    }
}

/// One MCP session.
#[derive(Debug)]
pub struct McpSession {
    /// How it came to be.
    pub opened: Opened,
}

/// The MCP sessions of all accounts.
#[derive(Debug)]
pub struct McpSessions {
    sessions: DashMap<McpKey, Arc<McpSession>, BuildHasherDefault<DigestHasher>>,
    roll: Mutex<Roll<Option<SessionId>, McpKey>>,
}

impl Default for McpSessions {
    fn default() -> Self {
        Self {
            sessions: DashMap::default(),
            roll: Mutex::new(Roll::new(LIMITS)),
        }
    }
}

impl McpSessions {
    /// The session with this key, where its opening was seen and it is not too long ago.
    pub fn find(&self, key: &McpKey) -> Option<Arc<McpSession>> {
        self.sessions.get(key).map(|session| Arc::clone(&session))
    }

    /// Notes that the upstream told the agent session `by` this id, under the sign-in `under`.
    pub fn open(&self, key: McpKey, by: Option<SessionId>, under: Option<Epoch>) {
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match self.find(&key) {
            Some(known) => known.opened.again(by, under),
            None => Opened {
                by: Opener::One(by),
                under,
            },
        };
        for gone in roll.add(by, key, 0) {
            self.sessions.remove(&gone);
        }
        self.sessions.insert(key, Arc::new(McpSession { opened }));
    }

    /// Forgets a session that the upstream ended.
    pub fn close(&self, key: &McpKey) {
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        roll.remove(key);
        self.sessions.remove(key);
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str, id: &str) -> McpKey {
        McpKey::of(&account.parse().expect("a name"), id.as_bytes())
    }

    #[test]
    fn one_id_of_two_accounts_is_two_sessions() {
        let keys = [
            key("a", "1"),
            key("b", "1"),
            key("a@b", "1"),
            key("a", "b1"),
            key("ab", "1"),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != one));
        }
        assert_eq!(key("a", "1"), key("a@default", "1"));
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_goes_first() {
        let table = McpSessions::default();
        let owner = |number: u64| Some(SessionId::from_random(number));
        for number in 0..=LIMITS.each {
            table.open(key("a", &number.to_string()), owner(1), None);
        }
        assert_eq!(table.len(), LIMITS.each);
        assert!(table.find(&key("a", "0")).is_none());
        assert!(table.find(&key("a", "1")).is_some());
        for number in 0..2 * LIMITS.all {
            let id = format!("x{number}");
            table.open(key("a", &id), owner(2 + number as u64), None);
        }
        assert_eq!(table.len(), LIMITS.all);
        assert!(table.find(&key("a", "1")).is_none());
        table.close(&key("a", &format!("x{}", 2 * LIMITS.all - 1)));
        assert_eq!(table.len(), LIMITS.all - 1);
    }
}
