//! What may be done to the records: which changes belong into one transaction, and which must be
//! on disk before anybody hears of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use redb::{Durability, TableHandle};
use sha2::{Digest, Sha256};

use super::db::{
    self, ANSWERS, CLIENTS, Database, GRANTS, INTENTS, MCP_SESSIONS, SECRETS, SESSIONS, SIGNED_OUT,
    Table,
};
use super::error::StoreError;
use super::record::Stored;
use super::seal::Sealer;
use super::{SessionNote, Traces};
use crate::clock::Clock;
use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::McpRecord;
use crate::model::record::{
    AnswersRecord, ClientRecord, GrantRecord, RefreshIntent, SessionRecord, SignedOutRecord,
};
use crate::model::secret::{ClientSecret, RefreshToken};
use crate::model::time::Timestamp;

/// How much of the sessions' last uses a crash may lose.
const NOTES_DURABLE_AFTER: Duration = Duration::from_mins(1);

/// The open store.
pub(super) struct Records {
    file: Database,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    durable_at: Timestamp,
}

impl Records {
    pub(super) fn new(file: Database, sealer: Sealer, clock: Arc<dyn Clock>) -> Self {
        let durable_at = clock.now();
        Self {
            file,
            sealer,
            clock,
            durable_at,
        }
    }

    pub(super) fn grants(
        &mut self,
    ) -> Result<Vec<(GrantRecord, Option<RefreshIntent>)>, StoreError> {
        let grants: Vec<GrantRecord> = self.all(GRANTS)?;
        grants
            .into_iter()
            .map(|grant| {
                let intent = self.get(INTENTS, &grant.account.to_string())?;
                Ok((grant, intent))
            })
            .collect()
    }

    pub(super) fn put_grant(&mut self, grant: &GrantRecord) -> Result<(), StoreError> {
        let id = grant.account.to_string();
        let sealed = self.sealed(GRANTS, &id, grant);
        self.file.write(Durability::Immediate, |transaction| {
            db::put(transaction, GRANTS, &id, &sealed)?;
            db::remove(transaction, INTENTS, &id)?;
            db::remove(transaction, SIGNED_OUT, &id)
        })?;
        if self.get(GRANTS, &id)?.as_ref() == Some(grant) {
            return Ok(());
        }
        Err(StoreError::NotKept)
    }

    /// Puts `grant` in the place of the one with this refresh token; tells whether that was there.
    pub(super) fn replace_grant(
        &mut self,
        stored: Option<&RefreshToken>,
        grant: &GrantRecord,
    ) -> Result<bool, StoreError> {
        let held: Option<GrantRecord> = self.get(GRANTS, &grant.account.to_string())?;
        let same = held.is_some_and(|held| held.refresh.as_ref() == stored);
        if same {
            self.put_grant(grant)?;
        }
        Ok(same)
    }

    pub(super) fn begin_refresh(
        &mut self,
        account: &AccountRef,
        intent: RefreshIntent,
    ) -> Result<(), StoreError> {
        self.put(INTENTS, &account.to_string(), &intent)
    }

    pub(super) fn clear_intent(&mut self, account: &AccountRef) -> Result<(), StoreError> {
        let id = account.to_string();
        self.file.write(Durability::Immediate, |transaction| {
            db::remove(transaction, INTENTS, &id)
        })
    }

    /// Deletes the grant; if `only` is given, only where its refresh token is among those. The one
    /// thread that writes makes the look and the deletion one step.
    pub(super) fn delete_grant(
        &mut self,
        account: &AccountRef,
        only: Option<&[RefreshToken]>,
        why: &SignedOutRecord,
    ) -> Result<bool, StoreError> {
        let id = account.to_string();
        if let Some(only) = only {
            let held: Option<GrantRecord> = self.get(GRANTS, &id)?;
            let held = held.and_then(|grant| grant.refresh);
            if !held.is_some_and(|held| only.contains(&held)) {
                return Ok(false);
            }
        }
        let sealed = self.sealed(SIGNED_OUT, &id, why);
        self.file.write(Durability::Immediate, |transaction| {
            db::remove(transaction, GRANTS, &id)?;
            db::remove(transaction, INTENTS, &id)?;
            db::put(transaction, SIGNED_OUT, &id, &sealed)
        })?;
        Ok(true)
    }

    pub(super) fn forget_account(&mut self, account: &AccountRef) -> Result<(), StoreError> {
        let id = account.to_string();
        self.file.write(Durability::Immediate, |transaction| {
            [GRANTS, INTENTS, SIGNED_OUT, ANSWERS]
                .into_iter()
                .try_for_each(|table| db::remove(transaction, table, &id))
        })
    }

    pub(super) fn signed_out(&mut self) -> Result<Vec<SignedOutRecord>, StoreError> {
        self.all(SIGNED_OUT)
    }

    pub(super) fn clients(&mut self) -> Result<Vec<ClientRecord>, StoreError> {
        self.all(CLIENTS)
    }

    pub(super) fn put_client(&mut self, client: &ClientRecord) -> Result<(), StoreError> {
        self.put(
            CLIENTS,
            &client_key(&client.issuer, &client.client_id),
            client,
        )
    }

    pub(super) fn delete_client(&mut self, issuer: &str, id: &str) -> Result<(), StoreError> {
        let key = client_key(issuer, id);
        self.file.write(Durability::Immediate, |transaction| {
            db::remove(transaction, CLIENTS, &key)
        })
    }

    pub(super) fn secret(&mut self, item: &str) -> Result<Option<ClientSecret>, StoreError> {
        let found = self.file.get(SECRETS, item)?;
        found
            .map(|sealed| {
                let secret = self.unsealed(SECRETS, item, &sealed);
                secret.ok_or_else(|| StoreError::Backend(format!("{item} cannot be read")))
            })
            .transpose()
    }

    pub(super) fn put_secret(
        &mut self,
        item: &str,
        secret: &ClientSecret,
    ) -> Result<(), StoreError> {
        self.put(SECRETS, item, secret)
    }

    pub(super) fn sessions(&mut self) -> Result<Vec<SessionRecord>, StoreError> {
        self.all(SESSIONS)
    }

    /// Puts all of them or none; of two with one id the later one stays.
    pub(super) fn put_sessions(&mut self, sessions: &[SessionRecord]) -> Result<(), StoreError> {
        let sealed: Vec<_> = sessions
            .iter()
            .map(|session| {
                let id = session.id.to_string();
                let sealed = self.sealed(SESSIONS, &id, session);
                (id, sealed)
            })
            .collect();
        self.file.write(Durability::Immediate, |transaction| {
            let mut all = sealed.iter();
            all.try_for_each(|(id, sealed)| db::put(transaction, SESSIONS, id, sealed))
        })
    }

    /// Brings the times and counts of living sessions forward. An ended one keeps its record as
    /// it was when it ended, and a time never goes back.
    pub(super) fn note_sessions(&mut self, notes: &[SessionNote]) -> Result<(), StoreError> {
        let latest: HashMap<SessionId, (Timestamp, u64)> = notes
            .iter()
            .map(|&(id, at, calls)| (id, (at, calls)))
            .collect();
        let mut changed = Vec::with_capacity(latest.len());
        for (session, (last_used, calls)) in latest {
            let id = session.to_string();
            let Some(mut record) = self.get::<SessionRecord>(SESSIONS, &id)? else {
                continue;
            };
            if record.ended.is_some() {
                continue;
            }
            record.last_used = record.last_used.max(last_used);
            record.calls = record.calls.max(calls);
            let sealed = self.sealed(SESSIONS, &id, &record);
            changed.push((id, sealed));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let durability = if now.since(self.durable_at) >= NOTES_DURABLE_AFTER {
            self.durable_at = now;
            Durability::Immediate
        } else {
            Durability::None
        };
        self.file.write(durability, |transaction| {
            changed
                .iter()
                .try_for_each(|(id, sealed)| db::put(transaction, SESSIONS, id, sealed))
        })
    }

    pub(super) fn delete_sessions(&mut self, ids: &[SessionId]) -> Result<(), StoreError> {
        self.file.write(Durability::Immediate, |transaction| {
            ids.iter()
                .try_for_each(|id| db::remove(transaction, SESSIONS, &id.to_string()))
        })
    }

    pub(super) fn answers(&mut self) -> Result<Vec<AnswersRecord>, StoreError> {
        self.all(ANSWERS)
    }

    pub(super) fn mcp_sessions(&mut self) -> Result<Vec<McpRecord>, StoreError> {
        self.all(MCP_SESSIONS)
    }

    /// Writes what requests have left behind: all of it in one transaction.
    pub(super) fn put_traces(&mut self, traces: &Traces) -> Result<(), StoreError> {
        let answers: Vec<_> = traces
            .answers
            .iter()
            .map(|record| {
                let id = record.account.to_string();
                let sealed = self.sealed(ANSWERS, &id, record);
                (id, sealed)
            })
            .collect();
        let sessions: Vec<_> = traces
            .mcp_sessions
            .iter()
            .map(|(id, record)| {
                let sealed = record.as_ref();
                (id, sealed.map(|it| self.sealed(MCP_SESSIONS, id, it)))
            })
            .collect();
        self.file.write(Durability::Immediate, |transaction| {
            for (id, sealed) in &answers {
                db::put(transaction, ANSWERS, id, sealed)?;
            }
            for (id, sealed) in &sessions {
                match sealed {
                    Some(sealed) => db::put(transaction, MCP_SESSIONS, id, sealed)?,
                    None => db::remove(transaction, MCP_SESSIONS, id)?,
                }
            }
            Ok(())
        })
    }

    /// How many records cannot be read. They are kept: a person may have a backup of the key, or
    /// a newer version may know them.
    pub(super) fn damaged(&self) -> Result<usize, StoreError> {
        Ok(self.broken::<GrantRecord>(GRANTS)?
            + self.broken::<RefreshIntent>(INTENTS)?
            + self.broken::<SignedOutRecord>(SIGNED_OUT)?
            + self.broken::<ClientRecord>(CLIENTS)?
            + self.broken::<SessionRecord>(SESSIONS)?
            + self.broken::<ClientSecret>(SECRETS)?
            + self.broken::<AnswersRecord>(ANSWERS)?
            + self.broken::<McpRecord>(MCP_SESSIONS)?)
    }

    /// Makes everything durable and closes the file.
    pub(super) fn close(self) -> Result<(), StoreError> {
        self.file.write(Durability::Immediate, |_| Ok(()))
    }

    fn put<T: Stored>(&mut self, table: Table, id: &str, record: &T) -> Result<(), StoreError> {
        let sealed = self.sealed(table, id, record);
        self.file.write(Durability::Immediate, |transaction| {
            db::put(transaction, table, id, &sealed)
        })
    }

    fn sealed<T: Stored>(&self, table: Table, id: &str, record: &T) -> Vec<u8> {
        self.sealer.seal(table.name(), id, &record.write())
    }

    fn get<T: Stored>(&self, table: Table, id: &str) -> Result<Option<T>, StoreError> {
        let sealed = self.file.get(table, id)?;
        Ok(sealed.and_then(|sealed| self.unsealed(table, id, &sealed)))
    }

    fn all<T: Stored>(&self, table: Table) -> Result<Vec<T>, StoreError> {
        let rows = self.file.all(table)?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, sealed)| {
                let record = self.unsealed(table, &id, &sealed);
                if record.is_none() {
                    tracing::error!(table = table.name(), id, "a stored record cannot be read");
                }
                record
            })
            .collect())
    }

    fn broken<T: Stored>(&self, table: Table) -> Result<usize, StoreError> {
        let rows = self.file.all(table)?;
        let unreadable =
            |(id, sealed): &&(String, Vec<u8>)| self.unsealed::<T>(table, id, sealed).is_none();
        Ok(rows.iter().filter(unreadable).count())
    }

    fn unsealed<T: Stored>(&self, table: Table, id: &str, sealed: &[u8]) -> Option<T> {
        let plain = self.sealer.open(table.name(), id, sealed).ok()?;
        T::read(&plain)
    }
}

/// The identity of a client at an issuer, so that neither stands in the file in the clear.
fn client_key(issuer: &str, client_id: &str) -> String {
    let digest = Sha256::new()
        .chain_update(issuer)
        .chain_update([0])
        .chain_update(client_id)
        .finalize();
    Base64UrlUnpadded::encode_string(&digest)
}
