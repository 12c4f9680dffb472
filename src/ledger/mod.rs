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
mod mcp;
mod memory;
mod slot;
#[cfg(test)]
mod tests;

pub use cell::{SessionCell, StreamGuard};
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

    /// Adds a session.
    pub fn insert(&self, cell: Arc<SessionCell>) {
        self.sessions.insert(*cell.digest(), cell);
    }

    /// Drops a session for good.
    pub fn remove(&self, digest: &TokenDigest) {
        self.sessions.remove(digest);
    }

    /// All sessions, in no order.
    pub fn sessions(&self) -> Vec<Arc<SessionCell>> {
        self.sessions.iter().map(|cell| Arc::clone(&cell)).collect()
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

    /// What servers said last to handshakes and lists.
    pub fn memory(&self) -> &Memory {
        &self.memory
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
