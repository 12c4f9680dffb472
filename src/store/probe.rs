//! Whether the keyring keeps what it is given.

use tokio::sync::oneshot;

use super::error::{KeyPlace, StoreError, StoreStatus};
use super::key;
use super::keyring::{Keyring, OsKeyring};
use crate::clock::Random;

/// Writes, reads and deletes a canary item in the keyring, for `doctor`.
pub async fn probe_keyring(service: &str, random: &dyn Random) -> StoreStatus {
    let keyring = OsKeyring::new(&format!("{service}-probe"));
    let key = key::MasterKey::generate(random);
    let (done, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("probe".to_owned());
    let spawned = thread.spawn(move || {
        let outcome = keyring
            .write(&key)
            .and_then(|()| keyring.read())
            .and_then(|found| {
                keyring.remove()?;
                Ok(found.is_some_and(|found| found == key))
            });
        let _ = done.send(outcome);
    });
    let outcome = match (spawned, answer.await) {
        (Ok(_), Ok(outcome)) => outcome,
        _ => Err(StoreError::Closed),
    };
    match outcome {
        Ok(true) => StoreStatus::ok(KeyPlace::Keyring),
        Ok(false) => StoreError::NotKept.status(),
        Err(error) => error.status(),
    }
}
