//! The MCP sessions that agents opened: whose they are, what stands for them upstream, and what it
//! takes to open them anew. Requests that name none do not come here;
//! those that do read a sharded table. Only the opening and the end of a session take a lock that
//! all share.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use dashmap::DashMap;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::DigestHasher;
use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::{
    Attempts, Change, Epoch, Likeness, Limits, McpRecord, Opened, Opener, Roll, Seen, SignedIn,
    Subscriptions,
};

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

/// One MCP session, as its agent knows it.
#[derive(Debug)]
pub struct McpSession {
    /// The upstream account it is at.
    pub account: AccountRef,
    /// The id that the agent was told, and uses for ever.
    pub told: HeaderValue,
    /// The agent's own `initialize`, where it can be sent again.
    pub hello: Option<Bytes>,
    /// Whether the daemon opened it in the place of a server that could not be asked.
    pub stood_in: bool,
    /// Whether the agent was answered by us and has not been told yet that this is over.
    owed: AtomicBool,
    life: ArcSwap<Life>,
    failures: AtomicU64,
    subscriptions: Mutex<Subscriptions>,
    /// Held by the one request that opens it anew.
    turn: tokio::sync::Mutex<Attempts>,
}

/// What stands for an MCP session upstream: at first what the agent was told, and something else
/// once it had to be opened anew.
#[derive(Clone, Debug)]
pub struct Life {
    /// How often it was opened anew.
    pub number: u64,
    /// Its id there; `None` where the upstream gave none any more.
    pub id: Option<HeaderValue>,
    /// The revision that was agreed on, where the agent was told one by us before.
    pub revision: Option<HeaderValue>,
    /// How it came to be.
    pub opened: Opened,
    /// Cancelled when something else stands for the session: streams move on then.
    pub ended: CancellationToken,
}

/// What is known of a session when it begins.
#[derive(Debug)]
pub struct News {
    /// The agent session that was told of it.
    pub by: Option<SessionId>,
    /// The sign-in it was opened under.
    pub under: Option<Epoch>,
    /// The agent's own `initialize`.
    pub hello: Option<Bytes>,
}

/// The right to open a session anew.
pub type Turn<'a> = tokio::sync::MutexGuard<'a, Attempts>;

impl McpSession {
    fn new(
        account: &AccountRef,
        told: HeaderValue,
        hello: Option<Bytes>,
        opened: Opened,
        stood_in: bool,
    ) -> Self {
        Self {
            account: account.clone(),
            stood_in,
            owed: AtomicBool::new(stood_in),
            life: ArcSwap::from_pointee(Life {
                number: 0,
                id: (!stood_in).then(|| told.clone()),
                revision: None,
                opened,
                ended: CancellationToken::new(),
            }),
            told,
            hello,
            failures: AtomicU64::new(0),
            subscriptions: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// What stands for it upstream now.
    pub fn life(&self) -> Arc<Life> {
        self.life.load_full()
    }

    /// What a request knows that found it in `life`.
    pub fn seen(&self, life: &Life) -> Seen {
        Seen {
            life: life.number,
            failures: self.failures.load(Ordering::Acquire),
        }
    }

    /// Whether the upstream knows nothing of it yet.
    pub fn is_waiting(&self) -> bool {
        self.stood_in && self.life.load().number == 0
    }

    /// Whether the agent is to be told that the lists it got from us have changed; the first who
    /// asks tells it.
    pub fn announce_once(&self) -> bool {
        self.owed.swap(false, Ordering::AcqRel)
    }

    /// Whether that is still to be done.
    pub fn owes_news(&self) -> bool {
        self.owed.load(Ordering::Acquire)
    }

    /// Waits until nobody else opens it anew.
    pub async fn turn(&self) -> Turn<'_> {
        self.turn.lock().await
    }

    /// Notes what stands for it upstream from now on. For the one who has the turn.
    pub fn begin(
        &self,
        _: &Turn<'_>,
        id: Option<HeaderValue>,
        revision: Option<HeaderValue>,
        under: Option<Epoch>,
    ) -> Arc<Life> {
        let before = self.life();
        let life = Arc::new(Life {
            number: before.number + 1,
            id,
            revision: revision.filter(|_| self.stood_in),
            opened: Opened {
                under,
                ..before.opened
            },
            ended: CancellationToken::new(),
        });
        self.life.store(Arc::clone(&life));
        before.ended.cancel();
        life
    }

    /// Notes that opening it anew failed. For the one who has the turn.
    pub fn fail(&self, _: &Turn<'_>) {
        self.failures.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that the upstream agreed to a change of what it is subscribed to.
    pub fn subscribe(&self, change: Change) {
        self.subscriptions().apply(change);
    }

    /// The requests that subscribe to the same again.
    pub fn resubscribe(&self) -> Vec<String> {
        self.subscriptions().requests()
    }

    /// What is written down of it; `under` is the present sign-in. `None` where that is another
    /// one than its own, or an id is no text.
    pub fn record(&self, now: Option<Epoch>, under: Option<SignedIn>) -> Option<McpRecord> {
        let life = self.life();
        if life.opened.compare(now) == Likeness::Other {
            return None;
        }
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let hello = self.hello.as_ref();
        Some(McpRecord {
            account: self.account.clone(),
            told: text(&self.told)?,
            hello: hello.and_then(|hello| String::from_utf8(hello.to_vec()).ok()),
            stood_in: self.stood_in,
            owed: self.owes_news(),
            by: life.opened.by,
            number: life.number,
            id: life.id.as_ref().and_then(text),
            revision: life.revision.as_ref().and_then(text),
            subscriptions: self.subscriptions().uris().to_vec(),
            under: under.filter(|_| life.opened.under.is_some()),
        })
    }

    /// The session of a record, under the sign-in of the epoch `under`.
    fn of(record: McpRecord, under: Option<Epoch>) -> Option<Self> {
        let value = |text: &String| HeaderValue::from_str(text).ok();
        let opened = Opened {
            by: record.by,
            under: under.filter(|_| record.under.is_some()),
        };
        Some(Self {
            told: value(&record.told)?,
            stood_in: record.stood_in,
            owed: AtomicBool::new(record.owed),
            life: ArcSwap::from_pointee(Life {
                number: record.number,
                id: record.id.as_ref().and_then(value),
                revision: record.revision.as_ref().and_then(value),
                opened,
                ended: CancellationToken::new(),
            }),
            failures: AtomicU64::new(0),
            subscriptions: Mutex::new(record.subscribed()),
            turn: tokio::sync::Mutex::default(),
            hello: record.hello.map(Bytes::from),
            account: record.account,
        })
    }

    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
