//! The login keychain. The system asks a person where it has to; nobody can look first.

use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::api::CredentialStoreApi;
use keyring_core::{Entry, Error};

use super::Look;
use crate::store::error::StoreError;

pub(super) fn look(_service: &str, _item: &str) -> Result<Look, StoreError> {
    Ok(Look::Kept)
}

pub(super) fn entry(service: &str, item: &str) -> keyring_core::Result<Entry> {
    let store: Arc<Store> = Store::new()?;
    store.build(service, item, None)
}

/// `errSecInteractionNotAllowed`, `errSecNotAvailable` and `errSecNoSuchKeychain` are what a
/// locked keychain answers where nobody can be asked, over ssh for one.
pub(super) fn understand(error: &Error) -> StoreError {
    let text = format!("{error:?}");
    if ["-25308", "-25291", "-25293"]
        .iter()
        .any(|code| text.contains(code))
    {
        return StoreError::Locked;
    }
    StoreError::Refused(error.to_string())
}
