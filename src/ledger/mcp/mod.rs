//! The MCP sessions that agents opened: whose they are, what stands for them upstream, and what it
//! takes to open them anew. Requests that name none do not come here;
//! those that do read a sharded table. Only the opening and the end of a session take a lock that
//! all share.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use dashmap::DashMap;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::DigestHasher;
use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::{Epoch, Limits, McpRecord, Opened, Opener, Roll};

mod session;

pub use session::{Life, McpSession, News, Turn};

/// What is kept: far more than agents have open, and some megabytes at most.
const LIMITS: Limits = Limits {
    each: 64,
    all: 4096,
    bytes: 8 << 20,
};

/// An account and an id of the upstream's, in a form of one length that nobody can aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct McpKey([u8; 32]);

impl fmt::Display for McpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

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

/// The MCP sessions of all accounts.
#[derive(Debug)]
pub struct McpSessions {
    sessions: DashMap<McpKey, Arc<McpSession>, BuildHasherDefault<DigestHasher>>,
    roll: Mutex<Roll<Option<SessionId>, McpKey>>,
    /// Those of which what is written down is not true any more.
    unwritten: Mutex<BTreeSet<McpKey>>,
    changed: Notify,
}

impl Default for McpSessions {
    fn default() -> Self {
        Self {
            sessions: DashMap::default(),
            roll: Mutex::new(Roll::new(LIMITS)),
            unwritten: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl McpSessions {
    /// The session with this key, where its opening was seen and it is not too long ago.
    pub fn find(&self, key: &McpKey) -> Option<Arc<McpSession>> {
        self.sessions.get(key).map(|session| Arc::clone(&session))
    }

    /// Notes that the upstream told an agent session a new id, how that came to be, and what it
    /// takes to do it again.
    pub fn open(&self, account: &AccountRef, id: &HeaderValue, news: News) {
        let key = McpKey::of(account, id.as_bytes());
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match self.find(&key) {
            Some(known) => known.life().opened.again(news.by, news.under),
            None => Opened {
                by: Opener::One(news.by),
                under: news.under,
            },
        };
        self.make_room(&mut roll, &news, key);
        // What several agents share is not for one of them to open anew.
        let hello = news.hello.filter(|_| opened.by != Opener::Several);
        let session = McpSession::new(account, id.clone(), hello, opened, false);
        self.sessions.insert(key, Arc::new(session));
        self.touch(key);
    }

    /// Opens a session in the place of the server, which is told later. Nobody else has `id`.
    pub fn stand_in(&self, account: &AccountRef, id: &HeaderValue, news: News) {
        let key = McpKey::of(account, id.as_bytes());
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = Opened {
            by: Opener::One(news.by),
            under: None,
        };
        self.make_room(&mut roll, &news, key);
        let session = McpSession::new(account, id.clone(), news.hello, opened, true);
        self.sessions.insert(key, Arc::new(session));
        self.touch(key);
    }

    /// Puts in what an earlier run has written down.
    pub fn restore(&self, record: McpRecord, under: Option<Epoch>) {
        let key = McpKey::of(&record.account, record.told.as_bytes());
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        let by = match record.by {
            Opener::One(by) => by,
            Opener::Several => None,
        };
        if let Some(session) = McpSession::of(record, under) {
            let bytes = session.hello.as_ref().map_or(0, Bytes::len);
            for gone in roll.add(by, key, bytes) {
                self.sessions.remove(&gone);
                self.touch(gone);
            }
            self.sessions.insert(key, Arc::new(session));
        }
    }

    /// Sees to it that nothing of a session stays written down.
    pub fn forget(&self, record: &McpRecord) {
        self.touch(McpKey::of(&record.account, record.told.as_bytes()));
    }

    /// Notes that what is written down of a session is not true any more.
    pub fn touch(&self, key: McpKey) {
        let mut unwritten = self
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unwritten.insert(key);
        drop(unwritten);
        self.changed.notify_one();
    }

    /// Waits for something to write down.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has to be written down: sessions, and the keys of those that have gone.
    pub fn take_unwritten(&self) -> Vec<(McpKey, Option<Arc<McpSession>>)> {
        let mut unwritten = self
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let keys = std::mem::take(&mut *unwritten);
        keys.into_iter().map(|key| (key, self.find(&key))).collect()
    }

    fn make_room(&self, roll: &mut Roll<Option<SessionId>, McpKey>, news: &News, key: McpKey) {
        let bytes = news.hello.as_ref().map_or(0, Bytes::len);
        for gone in roll.add(news.by, key, bytes) {
            self.sessions.remove(&gone);
            self.touch(gone);
        }
    }

    /// Forgets a session that the upstream ended.
    pub fn close(&self, key: &McpKey) {
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        roll.remove(key);
        self.sessions.remove(key);
        self.touch(*key);
    }

    /// The accounts at which `by` has sessions that the upstream knows nothing of yet.
    pub fn waiting(&self, by: SessionId) -> BTreeSet<AccountRef> {
        let theirs = Opener::One(Some(by));
        let all = self.sessions.iter();
        all.filter(|session| session.is_waiting() && session.life().opened.by == theirs)
            .map(|session| session.account.clone())
            .collect()
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
mod tests;
