//! One MCP session: what its agent knows of it, what stands for it upstream, and what it takes to
//! open it anew.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::{
    Attempts, Change, Epoch, Likeness, McpRecord, Opened, Seen, SignedIn, Subscriptions,
};

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
    /// Whether the person was asked for a sign-in through it, and the agent has not been told yet
    /// that this is done.
    elicited: AtomicBool,
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
    pub(super) fn new(
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
            elicited: AtomicBool::new(false),
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

    /// Notes that the person was asked for a sign-in through it.
    pub fn elicit(&self) {
        self.elicited.store(true, Ordering::Release);
    }

    /// Whether the agent is to be told that the sign-in it asked the person for is done; the first
    /// who asks tells it.
    pub fn complete_once(&self) -> bool {
        self.elicited.swap(false, Ordering::AcqRel)
    }

    /// Whether that is still to be done.
    pub fn owes_completion(&self) -> bool {
        self.elicited.load(Ordering::Acquire)
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
        let subscriptions = self.subscriptions().clone();
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
            subscriptions: subscriptions.uris().to_vec(),
            level: subscriptions.level().map(str::to_owned),
            under: under.filter(|_| life.opened.under.is_some()),
        })
    }

    /// The session of a record, under the sign-in of the epoch `under`.
    pub(super) fn of(record: McpRecord, under: Option<Epoch>) -> Option<Self> {
        let value = |text: &String| HeaderValue::from_str(text).ok();
        let opened = Opened {
            by: record.by,
            under: under.filter(|_| record.under.is_some()),
        };
        Some(Self {
            told: value(&record.told)?,
            stood_in: record.stood_in,
            owed: AtomicBool::new(record.owed),
            elicited: AtomicBool::new(false),
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
