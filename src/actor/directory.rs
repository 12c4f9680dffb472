//! Names to addresses. actix restarts an actor that stops, not one that panics: the mailbox of
//! that one is closed for good. So whoever holds an address asks here, and here a new actor takes
//! the place of a dead one, once, from the ledger and the store. Five deaths in a minute make an
//! account `broken`, visibly, until a reload.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tracing::{error, warn};

use crate::failpoint;
use crate::ledger::SessionCell;
use crate::model::id::{AccountRef, SessionId};
use crate::model::record::{EndedBy, Ending};
use crate::model::secret::TokenDigest;
use crate::model::session::Grant;
use crate::model::time::Timestamp;
use crate::store::StoreError;

use super::death::{Alive, Deaths, Mortal};
use super::minting::Minting;
use super::session::Session;
use super::token_manager::TokenManager;
use super::{Abandon, Deps, GiveCredential, Nudge, Regrant, Revoke, Settle, UnknownAccount};

/// How many deaths in [`BROKEN_WINDOW`] make an account broken.
const BROKEN_AFTER: usize = 5;
const BROKEN_WINDOW: Duration = Duration::from_mins(1);

/// The address book of the actors; cheap to clone.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    deps: Deps,
    keepers: ArbiterHandle,
    managers: Mutex<HashMap<AccountRef, Entry<TokenManager>>>,
    /// Actors that were told to stop, for whoever takes their place.
    leaving: Mutex<HashMap<AccountRef, Addr<TokenManager>>>,
    sessions: Mutex<HashMap<SessionId, Entry<Session>>>,
    minting: Minting,
    waiters: AtomicU64,
    deaths: Deaths,
}

struct Entry<A: Actor> {
    addr: Addr<A>,
    deaths: VecDeque<Timestamp>,
    /// Set by the fifth death in a minute, cleared by a reload.
    broken: bool,
}

impl<A: Actor> Entry<A> {
    fn new(addr: Addr<A>) -> Self {
        Self {
            addr,
            deaths: VecDeque::new(),
            broken: false,
        }
    }

    /// Notes a death; `false` once there were too many.
    fn may_respawn(&mut self, now: Timestamp) -> bool {
        if !self.broken {
            let horizon = now.minus(BROKEN_WINDOW);
            self.deaths.retain(|death| *death >= horizon);
            self.deaths.push_back(now);
            self.broken = self.deaths.len() >= BROKEN_AFTER;
        }
        !self.broken
    }
}

/// Whether an account's actor can be had.
enum Manager {
    Here(Addr<TokenManager>),
    Broken,
    Unknown,
}

impl Directory {
    /// An empty address book whose actors will live on `keepers`.
    pub fn new(deps: Deps, keepers: ArbiterHandle) -> Self {
        Self(Arc::new(Inner {
            deps,
            keepers,
            managers: Mutex::default(),
            leaving: Mutex::default(),
            sessions: Mutex::default(),
            minting: Minting::default(),
            waiters: AtomicU64::new(1),
            deaths: Deaths::default(),
        }))
    }

    /// What the actors work with.
    pub fn deps(&self) -> &Deps {
        &self.0.deps
    }

    /// A number that names one question.
    pub fn next_waiter(&self) -> u64 {
        self.0.waiters.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts the actor of `account`, unless it runs.
    pub fn open_account(&self, account: &AccountRef) {
        let mut managers = lock(&self.0.managers);
        managers
            .entry(account.clone())
            .or_insert_with(|| Entry::new(self.start_manager(account.clone())));
    }

    /// Stops the actor of `account` and takes its credential off the ledger.
    pub fn close_account(&self, account: &AccountRef) {
        if let Some(entry) = lock(&self.0.managers).remove(account) {
            entry.addr.do_send(Stop);
            lock(&self.0.leaving).insert(account.clone(), entry.addr);
        }
        self.0.deps.ledger.slot(account).retract();
        self.0.deps.pending.forget(account);
    }

    /// Waits until what running refreshes bring is durable, for actors that are leaving as well.
    pub async fn settle(&self) {
        let settled = self.everybody().into_iter().map(|addr| addr.send(Settle));
        // One that has died has nothing to wait for.
        futures_util::future::join_all(settled).await;
    }

    fn everybody(&self) -> Vec<Addr<TokenManager>> {
        let mut all: Vec<_> = lock(&self.0.leaving).values().cloned().collect();
        all.extend(
            lock(&self.0.managers)
                .values()
                .map(|entry| entry.addr.clone()),
        );
        all
    }

    /// Lets the actor of `account` look at the configuration again.
    pub fn reconfigure(&self, account: &AccountRef) {
        if let Some(entry) = lock(&self.0.managers).get(account) {
            entry.addr.do_send(super::Reconfigure);
        }
    }

    /// Gives accounts that died too often another chance.
    pub fn forgive(&self) {
        for entry in lock(&self.0.managers).values_mut() {
            entry.deaths.clear();
            entry.broken = false;
        }
    }

    /// The accounts that have an actor.
    pub fn accounts(&self) -> Vec<AccountRef> {
        let mut accounts: Vec<_> = lock(&self.0.managers).keys().cloned().collect();
        accounts.sort();
        accounts
    }

    /// Starts the actor of a session.
    pub fn open_session(&self, cell: &Arc<SessionCell>) {
        // Known before anybody hears of its death, which may come as it starts.
        let mut sessions = lock(&self.0.sessions);
        let addr = self.start_session(Arc::clone(cell));
        failpoint::here!("session.opened");
        sessions.insert(cell.id(), Entry::new(addr));
    }

    /// Who may mint now.
    pub fn minting(&self) -> &Minting {
        &self.0.minting
    }

    /// Revokes a session, also one that has ended already: the same end is written again.
    pub async fn revoke(
        &self,
        cell: &Arc<SessionCell>,
        by: EndedBy,
        reason: Option<&str>,
    ) -> Result<Ending, StoreError> {
        // One that dies may be asked a second time, until its mailbox has closed.
        for _ in 0..2 * BROKEN_AFTER {
            let revoke = Revoke {
                by,
                reason: reason.map(ToOwned::to_owned),
            };
            // A keeper that is stopping at this moment closes its mailbox; its successor answers.
            if let Ok(answer) = self.session(cell).send(revoke).await {
                return answer;
            }
        }
        let why = "the session's actor died over it again and again";
        Err(StoreError::Backend(why.to_owned()))
    }

    /// Lets a session reach what `grant` says; it is durable when this returns.
    pub async fn regrant(&self, cell: &Arc<SessionCell>, grant: Grant) -> Result<(), StoreError> {
        loop {
            let regrant = Regrant(grant.clone());
            if let Ok(answer) = self.session(cell).send(regrant).await {
                return answer;
            }
        }
    }

    /// Has one more credential open a session; it is durable when this returns.
    pub async fn give_credential(
        &self,
        cell: &Arc<SessionCell>,
        digest: TokenDigest,
    ) -> Result<(), StoreError> {
        loop {
            if let Ok(answer) = self.session(cell).send(GiveCredential(digest)).await {
                return answer;
            }
        }
    }

    /// The actor of a session; a new one where the old one is gone, since revoking must always be
    /// possible.
    fn session(&self, cell: &Arc<SessionCell>) -> Addr<Session> {
        let mut sessions = lock(&self.0.sessions);
        match sessions.get(&cell.id()) {
            Some(entry) if entry.addr.connected() => entry.addr.clone(),
            _ => {
                let addr = self.start_session(Arc::clone(cell));
                sessions.insert(cell.id(), Entry::new(addr.clone()));
                addr
            }
        }
    }

    /// Drops the address of a session that is purged.
    pub fn forget_session(&self, id: SessionId) {
        lock(&self.0.sessions).remove(&id);
    }

    /// Whether the account died too often.
    pub fn is_broken(&self, account: &AccountRef) -> bool {
        lock(&self.0.managers)
            .get(account)
            .is_some_and(|entry| entry.broken)
    }

    /// Replaces actors that have died without anybody asking.
    pub fn look_after(&self) {
        for account in self.accounts() {
            if !self.is_broken(&account) {
                let _ = self.manager(&account);
            }
        }
        for cell in self.0.deps.ledger.sessions() {
            self.look_after_session(cell.id());
        }
    }

    fn look_after_session(&self, id: SessionId) {
        let dead = lock(&self.0.sessions)
            .get(&id)
            .is_some_and(|entry| !entry.addr.connected());
        let cell = dead.then(|| self.0.deps.ledger.session_by_id(id)).flatten();
        if let Some(cell) = cell.filter(|cell| cell.ending().is_none()) {
            warn!(session = %id, "the session's actor died; a new one takes its place");
            let _ = self.session(&cell);
        }
    }

    /// Asks the actor of `account`; asks its successors where it dies meanwhile, until it is broken.
    pub async fn send<M>(
        &self,
        account: &AccountRef,
        message: impl Fn() -> M,
    ) -> Result<M::Result, DirectoryError>
    where
        TokenManager: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        loop {
            let addr = match self.manager(account) {
                Manager::Here(addr) => addr,
                Manager::Broken => return Err(DirectoryError::Broken(account.clone())),
                Manager::Unknown => {
                    return Err(DirectoryError::Unknown(UnknownAccount(account.clone())));
                }
            };
            match addr.send(message()).await {
                Ok(answer) => return Ok(answer),
                // It died, and its successor is asked; or it once more, while its mailbox has
                // not closed: that answers as soon as it does.
                Err(MailboxError::Closed | MailboxError::Timeout) => {}
            }
        }
    }

    /// Tells the actor of `account` that nobody waits for this answer any more.
    pub(super) fn abandon(&self, account: &AccountRef, waiter: u64) {
        if let Some(entry) = lock(&self.0.managers).get(account) {
            // A full mailbox is no loss: the waiter is answered into the void later.
            let _ = entry.addr.try_send(Abandon(waiter));
        }
    }

    /// Tells the actor of `account` that its credential ages.
    pub(super) fn nudge_account(&self, account: &AccountRef) {
        if let Manager::Here(addr) = self.manager(account) {
            // A full mailbox means that the actor is being told already.
            let _ = addr.try_send(Nudge);
        }
    }

    fn manager(&self, account: &AccountRef) -> Manager {
        let mut managers = lock(&self.0.managers);
        let Some(entry) = managers.get_mut(account) else {
            return Manager::Unknown;
        };
        if entry.addr.connected() {
            return Manager::Here(entry.addr.clone());
        }
        if !entry.may_respawn(self.0.deps.clock.now()) {
            error!(%account, "the account's actor died five times in a minute: it stays down");
            return Manager::Broken;
        }
        warn!(%account, "the account's actor died; a new one takes its place");
        entry.addr = self.start_manager(account.clone());
        Manager::Here(entry.addr.clone())
    }

    fn start_manager(&self, account: AccountRef) -> Addr<TokenManager> {
        let deps = self.0.deps.clone();
        let before = lock(&self.0.leaving).remove(&account);
        let notice = self.0.deaths.notice(Mortal::Account(account.clone()));
        TokenManager::start_in_arbiter(&self.0.keepers, move |ctx| {
            // The default of 16 makes callers wait for each other.
            ctx.set_mailbox_capacity(4096);
            TokenManager::new(account, deps, before, notice)
        })
    }

    fn start_session(&self, cell: Arc<SessionCell>) -> Addr<Session> {
        let deps = self.0.deps.clone();
        let notice = self.0.deaths.notice(Mortal::Session(cell.id()));
        Session::start_in_arbiter(&self.0.keepers, move |_| Session::new(cell, deps, notice))
    }

    /// Replaces actors as they die, until it is dropped.
    pub async fn replace_the_dead(&self) {
        loop {
            let directory = self.clone();
            let whom = self.0.deaths.next().await;
            actix_rt::spawn(async move { directory.replace(whom).await });
        }
    }
}

impl Directory {
    /// Puts another actor in the place of one that has died.
    async fn replace(&self, whom: Mortal) {
        // An answer of the successor that somebody has called for meanwhile is as good.
        match whom {
            Mortal::Account(account) => {
                let addr = lock(&self.0.managers)
                    .get(&account)
                    .map(|entry| entry.addr.clone());
                if let Some(addr) = addr {
                    let _ = addr.send(Alive).await;
                    let _ = self.manager(&account);
                }
            }
            Mortal::Session(id) => {
                let addr = lock(&self.0.sessions)
                    .get(&id)
                    .map(|entry| entry.addr.clone());
                if let Some(addr) = addr {
                    let _ = addr.send(Alive).await;
                    self.look_after_session(id);
                }
            }
        }
    }
}

/// Why an account's actor could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// No such account.
    #[error(transparent)]
    Unknown(#[from] UnknownAccount),
    /// Its actor died too often.
    #[error("the account {0} failed five times in a minute and is stopped until a reload")]
    Broken(AccountRef),
}

/// Ends an actor that is no longer needed.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is done under these locks that could leave the map half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
