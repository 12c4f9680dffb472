//! The database file: one redb table a kind of record, sealed values, and a table of facts about
//! the store itself. Grants, intents, mints and revokes are on disk before they are confirmed.

use redb::{Builder, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use redb::{TableDefinition, WriteTransaction};

use super::error::StoreError;
use super::key::{KeyId, Place};
use super::seal::SCHEMA;
use crate::failpoint;
use crate::paths::{Paths, create_private, refuse_exposed};

/// A table of sealed records.
pub(super) type Table = TableDefinition<'static, &'static str, &'static [u8]>;

pub(super) const GRANTS: Table = TableDefinition::new("grants");
pub(super) const INTENTS: Table = TableDefinition::new("intents");
pub(super) const SIGNED_OUT: Table = TableDefinition::new("signed_out");
pub(super) const CLIENTS: Table = TableDefinition::new("clients");
pub(super) const SESSIONS: Table = TableDefinition::new("sessions");
pub(super) const SECRETS: Table = TableDefinition::new("secrets");
pub(super) const ANSWERS: Table = TableDefinition::new("answers");
pub(super) const MCP_SESSIONS: Table = TableDefinition::new("mcp_sessions");
const SEALED: [Table; 8] = [
    GRANTS,
    INTENTS,
    SIGNED_OUT,
    CLIENTS,
    SESSIONS,
    SECRETS,
    ANSWERS,
    MCP_SESSIONS,
];
const META: Table = TableDefinition::new("meta");

const META_SCHEMA: &str = "schema";
const META_PLACE: &str = "key_place";
const META_KEY_ID: &str = "key_id";

/// The open file.
pub(super) struct Database(redb::Database);

impl Database {
    /// Opens the file, created with mode 0600 where it is not there yet.
    pub(super) fn open(paths: &Paths) -> Result<Self, StoreError> {
        paths.prepare()?;
        refuse_exposed(&paths.store)?;
        let file = create_private(&paths.store)
            .map_err(|error| crate::paths::PathError::io(&paths.store, &error))?;
        let database = Builder::new()
            .create_file(file)
            .map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(paths.store.clone()),
                error => opened(paths, error),
            })?;
        Self::prepared(database)
    }

    /// A database that is never written anywhere.
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let backend_in_memory = redb::backends::InMemoryBackend::new();
        let database = Builder::new()
            .create_with_backend(backend_in_memory)
            .map_err(backend)?;
        Self::prepared(database)
    }

    /// Makes the tables and refuses a store of a later form.
    fn prepared(database: redb::Database) -> Result<Self, StoreError> {
        let database = Self(database);
        database.write(Durability::Immediate, |transaction| {
            for table in SEALED {
                transaction.open_table(table).map_err(backend)?;
            }
            let mut meta = transaction.open_table(META).map_err(backend)?;
            let found = meta
                .get(META_SCHEMA)
                .map_err(backend)?
                .map(|value| schema_of(value.value()));
            match found {
                Some(schema) if schema != SCHEMA => Err(StoreError::Newer(schema)),
                Some(_) => Ok(()),
                None => meta
                    .insert(META_SCHEMA, &SCHEMA.to_le_bytes()[..])
                    .map(drop)
                    .map_err(backend),
            }
        })?;
        Ok(database)
    }

    /// Whether nothing is sealed yet.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        let transaction = self.0.begin_read().map_err(backend)?;
        for table in SEALED {
            let table = transaction.open_table(table).map_err(backend)?;
            if !table.is_empty().map_err(backend)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the key lives, once that is decided.
    pub(super) fn place(&self) -> Result<Option<Place>, StoreError> {
        let Some(text) = self.meta(META_PLACE)? else {
            return Ok(None);
        };
        let place = serde_json::from_slice(&text);
        place
            .map(Some)
            .map_err(|_| StoreError::Backend("the store does not tell where its key is".to_owned()))
    }

    /// Which key seals the records.
    pub(super) fn key_id(&self) -> Result<Option<KeyId>, StoreError> {
        let id = self.meta(META_KEY_ID)?;
        Ok(id.and_then(|id| id.try_into().ok()).map(KeyId))
    }

    /// Records the decision.
    pub(super) fn record_key(&mut self, place: &Place, id: KeyId) -> Result<(), StoreError> {
        if self.place()?.as_ref() == Some(place) && self.key_id()? == Some(id) {
            return Ok(());
        }
        let text = serde_json::to_vec(place)
            .map_err(|_| StoreError::Backend("the key's path is not text".to_owned()))?;
        self.write(Durability::Immediate, |transaction| {
            let mut meta = transaction.open_table(META).map_err(backend)?;
            meta.insert(META_PLACE, &*text).map_err(backend)?;
            meta.insert(META_KEY_ID, &id.0[..]).map_err(backend)?;
            Ok(())
        })
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.0.begin_read().map_err(backend)?;
        let meta = transaction.open_table(META).map_err(backend)?;
        let value = meta.get(name).map_err(backend)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The record `id` of `table`.
    pub(super) fn get(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.0.begin_read().map_err(backend)?;
        let table = transaction.open_table(table).map_err(backend)?;
        let value = table.get(id).map_err(backend)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// All records of `table`.
    pub(super) fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let transaction = self.0.begin_read().map_err(backend)?;
        let table = transaction.open_table(table).map_err(backend)?;
        let rows = table.iter().map_err(backend)?;
        rows.map(|row| {
            let (id, value) = row.map_err(backend)?;
            Ok((id.value().to_owned(), value.value().to_vec()))
        })
        .collect()
    }

    /// Runs `change` in one transaction: all of it happens, or nothing.
    pub(super) fn write<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.0.begin_write().map_err(backend)?;
        transaction.set_durability(durability).map_err(backend)?;
        let outcome = change(&transaction)?;
        failpoint::here!("store.commit");
        transaction.commit().map_err(backend)?;
        failpoint::here!("store.committed");
        Ok(outcome)
    }
}

/// Puts a record into `table`.
pub(super) fn put(
    transaction: &WriteTransaction,
    table: Table,
    id: &str,
    record: &[u8],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(table).map_err(backend)?;
    table.insert(id, record).map_err(backend)?;
    Ok(())
}

/// Takes a record out of `table`.
pub(super) fn remove(
    transaction: &WriteTransaction,
    table: Table,
    id: &str,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(table).map_err(backend)?;
    table.remove(id).map_err(backend)?;
    Ok(())
}

fn schema_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

/// Why the file could not be opened.
fn opened(paths: &Paths, error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    let damaged = match &error {
        redb::Error::Corrupted(_) | redb::Error::RepairAborted => true,
        // A file that is no database, or is cut off.
        redb::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        ),
        _ => false,
    };
    if !damaged {
        return backend(error);
    }
    StoreError::Damaged {
        file: paths.store.clone(),
        error: error.to_string(),
    }
}

pub(super) fn backend(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Backend(error.into().to_string())
}
