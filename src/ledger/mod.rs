//! What the warm path reads: session cells by the digest of their credential, and the published
//! credential of every upstream account. Actors write it; a request reads two tables, writes one
//! atomic, and sends no message.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use futures_util::future::BoxFuture;

use crate::model::fault::CredentialError;
use crate::model::id::{AccountRef, Generation, SessionId};
use crate::model::secret::TokenDigest;

mod cell;
mod doorbell;
mod endpoints;
mod keeping;
mod mcp;
mod memory;
mod slot;
mod sync;
#[cfg(test)]
mod tests;

pub use cell::{SessionCell, StreamGuard};
pub use doorbell::{Doorbell, Ring};
pub use endpoints::{Endpoint, Endpoints};
pub use keeping::{Keeping, Spared, Tally};
pub use mcp::{Life, McpKey, McpSession, McpSessions, News, Turn};
pub use memory::Memory;
pub use slot::{Bound, Published, Slot};

/// A digest is uniform already: its first eight bytes are the hash.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        // `[u8; 32]` writes its length first and then its bytes; the bytes win.
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The read model.
#[derive(Default)]
pub struct Ledger {
    sessions: DashMap<TokenDigest, Arc<SessionCell>, BuildHasherDefault<DigestHasher>>,
    slots: DashMap<AccountRef, Arc<Slot>>,
    mcp: McpSessions,
    memory: Memory,
    endpoints: Endpoints,
    doorbell: Doorbell,
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The session whose credential has this digest, ended ones included.
    pub fn session(&self, digest: &TokenDigest) -> Option<Arc<SessionCell>> {
        self.sessions.get(digest).map(|cell| Arc::clone(&cell))
    }

    /// The session with this public id. Walks the table: for commands, not for requests.
    pub fn session_by_id(&self, id: SessionId) -> Option<Arc<SessionCell>> {
        self.sessions
            .iter()
            .find(|cell| cell.id() == id)
            .map(|cell| Arc::clone(&cell))
    }

    /// Adds a session, or the credentials that it was given since.
    pub fn insert(&self, cell: Arc<SessionCell>) {
        for later in cell.later().iter() {
            self.sessions.insert(*later, Arc::clone(&cell));
        }
        self.sessions.insert(*cell.digest(), cell);
    }

    /// Drops the session that was minted with this credential for good.
    pub fn remove(&self, digest: &TokenDigest) {
        let Some((_, cell)) = self.sessions.remove(digest) else {
            return;
        };
        for later in cell.later().iter() {
            self.sessions.remove(later);
        }
    }

    /// How many credentials of sessions are known, those of ended ones among them: at least as many
    /// as there are sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is known.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// All sessions, in no order.
    pub fn sessions(&self) -> Vec<Arc<SessionCell>> {
        let entries = self.sessions.iter();
        // Once each, however many credentials open it.
        let first = entries.filter(|entry| entry.key() == entry.value().digest());
        first.map(|entry| Arc::clone(&entry)).collect()
    }

    /// The slot of an account: made at the first question, the same one ever after, so that
    /// routes may keep it.
    pub fn slot(&self, account: &AccountRef) -> Arc<Slot> {
        if let Some(slot) = self.slots.get(account) {
            return Arc::clone(&slot);
        }
        Arc::clone(&self.slots.entry(account.clone()).or_default())
    }

    /// The MCP sessions that were seen to be opened.
    pub fn mcp(&self) -> &McpSessions {
        &self.mcp
    }

    /// Where streams of the HTTP+SSE transport are posted to.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// What servers said last to handshakes and lists.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Calls for a person.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// All slots that were ever asked for, in no order.
    pub fn slots(&self) -> Vec<(AccountRef, Arc<Slot>)> {
        self.slots
            .iter()
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect()
    }
}

/// Who can bring about a credential that the ledger does not hold; implemented by the actors'
/// directory.
pub trait CredentialSource: Send + Sync + 'static {
    /// A usable credential of `account`, other than the `rejected` one; waits for a refresh where
    /// one is needed, for a bounded time.
    fn ask(
        &self,
        account: &AccountRef,
        rejected: Option<Generation>,
    ) -> BoxFuture<'static, Result<Arc<Published>, CredentialError>>;

    /// Begins a sign-in of `account`, or finds the one that has begun: the link that a person
    /// opens. `None` where there is none.
    fn sign_in_link(&self, account: &AccountRef) -> BoxFuture<'static, Option<String>> {
        let _ = account;
        Box::pin(std::future::ready(None))
    }

    /// Says that the credential is aging. Returns at once.
    fn nudge(&self, account: &AccountRef);
}
