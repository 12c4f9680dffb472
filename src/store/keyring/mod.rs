//! The operating system's keyring, through `keyring-core`. Every call runs on a thread of its own
//! with a deadline: a keyring may wait for a person, and its libraries block.
//!
//! On Linux a locked keyring answers a search exactly like an empty one. So before the key is
//! read or written, the Secret Service is asked what it is: absent, locked, without a collection,
//! or open. Nothing here ever raises a prompt to unlock or to create a collection.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::KEYRING_DEADLINE;
use super::error::{KeyPlace, StoreError};
use super::key::MasterKey;

/// The name of the item beside the service's name.
const ITEM: &str = "store-key";

/// Where a key can be kept. Calls block up to their deadline.
pub(super) trait Keyring: Send + Sync + 'static {
    /// Whether a key could be read and written now.
    fn look(&self) -> Result<(), StoreError>;
    /// The key; `None` is said only by a keyring that is open.
    fn read(&self) -> Result<Option<MasterKey>, StoreError>;
    /// Keeps the key, in the place of another one.
    fn write(&self, key: &MasterKey) -> Result<(), StoreError>;
    /// Removes the key.
    fn remove(&self) -> Result<(), StoreError>;
}

/// That of the operating system.
#[derive(Debug)]
pub(super) struct OsKeyring {
    service: String,
}

impl OsKeyring {
    pub(super) fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let service = self.service.clone();
        bounded(&BUSY, KEYRING_DEADLINE, move || call(&service))
    }
}

impl Keyring for OsKeyring {
    fn look(&self) -> Result<(), StoreError> {
        self.ask(|service| platform::look(service, ITEM).map(drop))
    }

    fn read(&self) -> Result<Option<MasterKey>, StoreError> {
        let text = self.ask(|service| match platform::look(service, ITEM)? {
            Look::Nothing => Ok(None),
            Look::Kept => read_entry(service),
        })?;
        let Some(text) = text else { return Ok(None) };
        std::str::from_utf8(&text)
            .ok()
            .and_then(MasterKey::from_text)
            .map(Some)
            .ok_or(StoreError::KeyMalformed {
                place: KeyPlace::Keyring,
            })
    }

    fn write(&self, key: &MasterKey) -> Result<(), StoreError> {
        let text = key.to_text();
        self.ask(move |service| {
            platform::look(service, ITEM)?;
            let entry = platform::entry(service, ITEM).map_err(|e| platform::understand(&e))?;
            let written = entry.set_secret(text.as_bytes());
            written.map_err(|e| platform::understand(&e))
        })
    }

    fn remove(&self) -> Result<(), StoreError> {
        self.ask(|service| {
            platform::look(service, ITEM)?;
            let entry = platform::entry(service, ITEM).map_err(|e| platform::understand(&e))?;
            match entry.delete_credential() {
                Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
                Err(error) => Err(platform::understand(&error)),
            }
        })
    }
}

/// What an open keyring holds under our name.
pub(super) enum Look {
    /// No item.
    #[cfg_attr(
        target_os = "macos",
        expect(dead_code, reason = "its keychain tells this by an error")
    )]
    Nothing,
    /// An item; or, where looking would already raise a prompt, perhaps one.
    Kept,
}

fn read_entry(service: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let entry = platform::entry(service, ITEM).map_err(|e| platform::understand(&e))?;
    match entry.get_secret() {
        Ok(secret) => Ok(Some(Zeroizing::new(secret))),
        Err(keyring_core::Error::NoEntry) => Ok(None),
        Err(error) => Err(platform::understand(&error)),
    }
}

/// Set while a call hangs behind its deadline: another one would only wait behind it, or raise
/// the same question a second time.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Runs `call` on a thread of its own and waits for it until `deadline`.
fn bounded<T: Send + 'static>(
    busy: &'static AtomicBool,
    deadline: Duration,
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let slow = StoreError::Slow { waited: deadline };
    let (done, answer) = mpsc::sync_channel(1);
    if busy.swap(true, Ordering::AcqRel) {
        return Err(slow);
    }
    let thread = std::thread::Builder::new().name("keyring".to_owned());
    let spawned = thread.spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(call))
            .unwrap_or_else(|_| Err(StoreError::Refused("the keyring library failed".into())));
        busy.store(false, Ordering::Release);
        let _ = done.send(outcome);
    });
    if let Err(error) = spawned {
        busy.store(false, Ordering::Release);
        return Err(StoreError::Backend(error.to_string()));
    }
    match answer.recv_timeout(deadline) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(slow),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod platform {
    //! A system whose keyring is not built in yet.

    use super::{Look, StoreError};

    pub(super) fn look(_service: &str, _item: &str) -> Result<Look, StoreError> {
        Err(StoreError::Absent(
            "this system's is not supported".to_owned(),
        ))
    }

    pub(super) fn entry(_: &str, _: &str) -> keyring_core::Result<keyring_core::Entry> {
        Err(keyring_core::Error::NoDefaultStore)
    }

    pub(super) fn understand(error: &keyring_core::Error) -> StoreError {
        StoreError::Refused(error.to_string())
    }
}

#[cfg(test)]
mod tests;
