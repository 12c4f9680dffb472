//! What outlives the process, sealed: a handle that any thread may use, in front of one plain
//! thread that does all the blocking work in order.
//!
//! The key that seals the records lives in the operating system's keyring, or in a file where
//! there is no keyring service at all. That choice is made once, recorded, and never changed by
//! itself: a keyring that is locked, and a key that is gone, are errors (decision D5).

mod db;
mod error;
mod key;
mod keyring;
mod probe;
mod record;
mod records;
mod seal;
mod secret;
mod together;

pub use error::{Health, KeyPlace, StoreError, StoreStatus};
pub use probe::probe_keyring;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::{Clock, Random, SystemClock};
use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::McpRecord;
use crate::model::record::{
    AnswersRecord, ClientRecord, GrantRecord, RefreshIntent, SessionRecord, SignedOutRecord,
    StoreKind,
};
use crate::model::secret::RefreshToken;
use crate::model::time::Timestamp;
use crate::paths::{Environment, Paths};
use key::KeySource;
use keyring::{Keyring, OsKeyring};
use records::Records;
use together::Together;

/// How long the keyring may take. Somebody may have to answer a question of the system first; the
/// call that asked goes on behind the deadline, and asking again later finds its answer.
pub const KEYRING_DEADLINE: Duration = Duration::from_secs(20);

/// How long one reading or writing of records may take before its caller is told.
pub const RECORDS_DEADLINE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(&mut Open) + Send>;

/// The store of one daemon. Clones share it; it is closed by [`Store::close`] or with the last
/// clone.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    /// Whether refreshes may still begin.
    refreshes: Arc<AtomicBool>,
    sessions: Arc<Together>,
}

/// What the key in its place is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCheck {
    /// It is the one that seals the records.
    Intact,
    /// It was gone or another one; the one in use has been written back.
    Restored,
}

/// A use of a session, as [`Store::note_sessions`] takes it.
pub type SessionNote = (SessionId, Timestamp, u64);

/// What requests leave behind that outlives the process.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// What servers said.
    pub answers: Vec<AnswersRecord>,
    /// MCP sessions by key; `None` for those that have gone.
    pub mcp_sessions: Vec<(String, Option<McpRecord>)>,
}

impl Traces {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.mcp_sessions.is_empty()
    }
}

/// What the store thread owns.
struct Open {
    records: Option<Records>,
    key: KeySource,
}

impl Store {
    /// Opens the store of `paths`, making the key and the file where there are none yet.
    ///
    /// `service` is the name under which the key is kept in the keyring. An error leaves nothing
    /// open, so that it can be tried again, for example after the keyring was unlocked.
    pub async fn open(
        paths: &Paths,
        kind: StoreKind,
        service: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let keyring = Arc::new(OsKeyring::new(service));
        Self::open_with(paths, kind, keyring, clock, random).await
    }

    async fn open_with(
        paths: &Paths,
        kind: StoreKind,
        keyring: Arc<dyn Keyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let paths = paths.clone();
        let (opened, answer) = oneshot::channel();
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("store".to_owned());
        let spawned =
            thread.spawn(
                move || match Open::new(&paths, &kind, keyring, clock, random) {
                    Ok(mut store) => {
                        let _ = opened.send(Ok(()));
                        store.serve(&queue);
                    }
                    Err(error) => {
                        let _ = opened.send(Err(error));
                    }
                },
            );
        spawned.map_err(|error| StoreError::Backend(error.to_string()))?;
        answer.await.map_err(|_| StoreError::Closed)??;
        Ok(Self {
            jobs,
            refreshes: Arc::new(AtomicBool::new(true)),
            sessions: Arc::default(),
        })
    }

    /// A store that keeps everything in memory under a random key, and forgets it.
    pub async fn in_memory(random: Arc<dyn Random>) -> Result<Self, StoreError> {
        let paths = Paths::resolve(Some("/".as_ref()), &Environment::default())?;
        let clock = Arc::new(SystemClock);
        Self::open(&paths, StoreKind::Memory, "", clock, random).await
    }

    /// Every sign-in, with the intent of a refresh that was never finished. Records that cannot be
    /// read are left out, told of in [`Store::status`], and not touched.
    pub async fn grants(&self) -> Result<Vec<(GrantRecord, Option<RefreshIntent>)>, StoreError> {
        self.records(records::Records::grants).await
    }

    /// Keeps a sign-in, durably. In the same transaction the account's intent and signed-out
    /// record go. The record is read back before this answers.
    pub async fn put_grant(&self, grant: GrantRecord) -> Result<(), StoreError> {
        self.records(move |records| records.put_grant(&grant)).await
    }

    /// Keeps a sign-in in the place of the one whose refresh token is `stored`, if that is still
    /// there. Nobody waits for it: for what is dropped on the way, in its turn like any other job.
    pub fn replace_grant_unattended(&self, stored: Option<RefreshToken>, grant: GrantRecord) {
        let job: Job = Box::new(move |open| {
            let Some(records) = open.records.as_mut() else {
                return;
            };
            match records.replace_grant(stored.as_ref(), &grant) {
                Ok(kept) => {
                    tracing::warn!(account = %grant.account, kept, "a refresh was salvaged");
                }
                Err(error) => {
                    tracing::error!(account = %grant.account, %error, "a refreshed sign-in is lost");
                }
            }
        });
        // A store that is closed takes nothing any more.
        let _ = self.jobs.send(job);
    }

    /// Notes, durably, that the refresh token of `account` is about to be presented.
    pub async fn begin_refresh(
        &self,
        account: &AccountRef,
        intent: RefreshIntent,
    ) -> Result<(), StoreError> {
        if !self.refreshes.load(Ordering::SeqCst) {
            return Err(StoreError::Stopping);
        }
        let account = account.clone();
        self.records(move |records| records.begin_refresh(&account, intent))
            .await
    }

    /// Lets no refresh begin any more: what one brings could not be kept by a daemon that stops.
    pub fn end_refreshes(&self) {
        self.refreshes.store(false, Ordering::SeqCst);
    }

    /// Takes an intent back: the refresh token was certainly not used up.
    pub async fn clear_intent(&self, account: &AccountRef) -> Result<(), StoreError> {
        let account = account.clone();
        self.records(move |records| records.clear_intent(&account))
            .await
    }

    /// Deletes the sign-in of `account` if its refresh token is one of `tokens`, and keeps `why` in
    /// its place. Tells whether it did: a sign-in that came in between is another one, and stays.
    pub async fn delete_grant_if_among(
        &self,
        account: &AccountRef,
        tokens: Vec<RefreshToken>,
        why: SignedOutRecord,
    ) -> Result<bool, StoreError> {
        let account = account.clone();
        self.records(move |records| records.delete_grant(&account, Some(&tokens), &why))
            .await
    }

    /// Deletes the sign-in of `account`, whatever it is, and keeps `why` in its place.
    pub async fn delete_grant(
        &self,
        account: &AccountRef,
        why: SignedOutRecord,
    ) -> Result<(), StoreError> {
        let account = account.clone();
        self.records(move |records| records.delete_grant(&account, None, &why))
            .await
            .map(drop)
    }

    /// The accounts that need a person, and why.
    pub async fn signed_out(&self) -> Result<Vec<SignedOutRecord>, StoreError> {
        self.records(records::Records::signed_out).await
    }

    /// Forgets everything about `account`, as if nobody had ever signed in.
    pub async fn forget_account(&self, account: &AccountRef) -> Result<(), StoreError> {
        let account = account.clone();
        self.records(move |records| records.forget_account(&account))
            .await
    }

    /// Every client identity.
    pub async fn clients(&self) -> Result<Vec<ClientRecord>, StoreError> {
        self.records(records::Records::clients).await
    }

    /// Keeps a client identity, in the place of one with the same issuer and id.
    pub async fn put_client(&self, client: ClientRecord) -> Result<(), StoreError> {
        self.records(move |records| records.put_client(&client))
            .await
    }

    /// Deletes a client identity.
    pub async fn delete_client(&self, issuer: &str, client_id: &str) -> Result<(), StoreError> {
        let (issuer, id) = (issuer.to_owned(), client_id.to_owned());
        self.records(move |records| records.delete_client(&issuer, &id))
            .await
    }

    /// Every session, living and ended.
    pub async fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.records(records::Records::sessions).await
    }

    /// Keeps a session, durably: to be awaited before a mint or a revoke is confirmed. Those that
    /// come while the disk is busy are written in one transaction.
    pub async fn put_session(&self, session: SessionRecord) -> Result<(), StoreError> {
        let written = self.sessions.add(session);
        let sessions = Arc::clone(&self.sessions);
        let job: Job = Box::new(move |open| sessions.write(open.records.as_mut()));
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answered(RECORDS_DEADLINE, written).await?
    }

    /// Notes when sessions were last used and how many calls they made. A crash may lose the
    /// last minute of it, which shortens lives and never lengthens one.
    pub async fn note_sessions(&self, notes: Vec<SessionNote>) -> Result<(), StoreError> {
        self.records(move |records| records.note_sessions(&notes))
            .await
    }

    /// Deletes the records of sessions.
    pub async fn delete_sessions(&self, ids: Vec<SessionId>) -> Result<(), StoreError> {
        self.records(move |records| records.delete_sessions(&ids))
            .await
    }

    /// What servers said last.
    pub async fn answers(&self) -> Result<Vec<AnswersRecord>, StoreError> {
        self.records(records::Records::answers).await
    }

    /// The MCP sessions of an earlier run.
    pub async fn mcp_sessions(&self) -> Result<Vec<McpRecord>, StoreError> {
        self.records(records::Records::mcp_sessions).await
    }

    /// Keeps what requests have left behind, durably.
    pub async fn put_traces(&self, traces: Traces) -> Result<(), StoreError> {
        self.records(move |records| records.put_traces(&traces))
            .await
    }

    /// How the store is.
    pub async fn status(&self) -> StoreStatus {
        let look = self.run(RECORDS_DEADLINE, |open| {
            let records = open.records.as_ref().ok_or(StoreError::Closed)?;
            Ok((open.key.status(), records.damaged()?))
        });
        match look.await.flatten() {
            Ok((status, 0)) => status,
            Ok((mut status, damaged)) => {
                status.detail = Some(format!("{damaged} records cannot be read"));
                status
            }
            Err(error) => error.status(),
        }
    }

    /// Reads the key where it lives and puts it back if another program removed or changed it.
    /// To be called when a person signs in, before "saved" is said.
    pub async fn check_key(&self) -> Result<KeyCheck, StoreError> {
        self.run(KEYRING_DEADLINE * 2, |open| open.key.check())
            .await?
    }

    /// Writes what is still in memory and closes the file. Every later call answers
    /// [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.run(RECORDS_DEADLINE, |open| {
            open.records.take().map_or(Ok(()), Records::close)
        })
        .await?
    }

    async fn records<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Records) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(RECORDS_DEADLINE, |open| {
            job(open.records.as_mut().ok_or(StoreError::Closed)?)
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce(&mut Open) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |open| {
            let _ = done.send(job(open));
        });
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answered(deadline, answer).await
    }
}

/// What the store's thread answers in time.
async fn answered<T>(deadline: Duration, answer: oneshot::Receiver<T>) -> Result<T, StoreError> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(StoreError::Backend("the store thread panicked".to_owned())),
        Err(_) => Err(StoreError::Slow { waited: deadline }),
    }
}

impl Open {
    fn new(
        paths: &Paths,
        kind: &StoreKind,
        keyring: Arc<dyn Keyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let mut file = match kind {
            StoreKind::Memory => db::Database::in_memory()?,
            _ => db::Database::open(paths)?,
        };
        let key = KeySource::settle(paths, kind, keyring, &mut file, &*random)?;
        let records = Records::new(file, key.sealer(random), clock);
        Ok(Self {
            records: Some(records),
            key,
        })
    }

    fn serve(&mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            // A transaction that a panic cut short is rolled back; the next job finds the store
            // as it was. The caller sees its answer channel close.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(self)));
            if outcome.is_err() {
                tracing::error!("a store operation panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests;
