//! Secrets that a person handed over by name (`upstream set-secret`), sealed like everything else.

use super::record::Stored;
use super::{Store, StoreError, records};
use crate::model::secret::ClientSecret;
use zeroize::Zeroizing;

impl Stored for ClientSecret {
    fn write(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.expose().as_bytes().to_vec())
    }

    fn read(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok().map(Self::new)
    }
}

impl Store {
    /// The secret kept under `item`.
    pub async fn secret(&self, item: &str) -> Result<Option<ClientSecret>, StoreError> {
        let item = item.to_owned();
        self.records(move |records: &mut records::Records| records.secret(&item))
            .await
    }

    /// Keeps a secret under `item`, durably, in the place of the one there.
    pub async fn put_secret(&self, item: &str, secret: ClientSecret) -> Result<(), StoreError> {
        let item = item.to_owned();
        self.records(move |records| records.put_secret(&item, &secret))
            .await
    }
}
