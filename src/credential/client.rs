//! Fetches what a client of the configuration proves itself with.

use super::source::{self, SecretFault};
use crate::config::ProofSource;
use crate::jose::SigningKey;
use crate::model::record::{ClientKey, ClientProof};
use crate::store::Store;

/// The proof at `source`, read anew. A key that cannot sign is none.
pub async fn proof(source: &ProofSource, store: &Store) -> Result<ClientProof, SecretFault> {
    let read = source::read(source.place(), store).await?;
    match source {
        ProofSource::Secret(_) => Ok(ClientProof::Secret(read)),
        ProofSource::Key { id, .. } => {
            let key = ClientKey {
                key: read.into(),
                id: id.clone(),
            };
            let fault = |why| SecretFault::Unavailable(format!("the client's private key: {why}"));
            SigningKey::read(&key.key).map_err(fault)?;
            Ok(ClientProof::Key(key))
        }
    }
}
