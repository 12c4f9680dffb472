//! The Secret Service over D-Bus: gnome-keyring, `KWallet`, `KeePassXC`.

use std::collections::HashMap;
use std::io;

use keyring_core::api::CredentialStoreApi;
use keyring_core::{Entry, Error as EntryError};
use secret_service::blocking::SecretService;
use secret_service::{EncryptionType, Error};
use zbus::blocking::Connection;
use zbus::fdo::Error as Fdo;
use zbus_secret_service_keyring_store::Store;

use super::Look;
use crate::store::error::StoreError;

/// What the service is, and whether it has our item. An item in a collection that is not the
/// default one counts too.
pub(super) fn look(service: &str, item: &str) -> Result<Look, StoreError> {
    let bus = Connection::session().map_err(|error| no_bus(&error))?;
    let secrets = SecretService::connect_with_existing(EncryptionType::Dh, bus)
        .map_err(|error| explain(&error))?;
    let found = secrets
        .search_items(attributes(service, item))
        .map_err(|error| explain(&error))?;
    if !found.locked.is_empty() {
        return Err(StoreError::Locked);
    }
    if !found.unlocked.is_empty() {
        return Ok(Look::Kept);
    }
    match secrets.get_default_collection() {
        Ok(collection) if collection.is_locked().map_err(|error| explain(&error))? => {
            Err(StoreError::Locked)
        }
        Ok(_) => Ok(Look::Nothing),
        Err(Error::NoResult) => Err(StoreError::NoCollection),
        Err(error) => Err(explain(&error)),
    }
}

/// The attributes by which the store crate finds its items.
fn attributes<'a>(service: &'a str, item: &'a str) -> HashMap<&'a str, &'a str> {
    HashMap::from([("service", service), ("username", item)])
}

pub(super) fn entry(service: &str, item: &str) -> keyring_core::Result<Entry> {
    let label = HashMap::from([("label", "doorward: key that seals stored sign-ins")]);
    Store::new()?.build(service, item, Some(&label))
}

pub(super) fn understand(error: &EntryError) -> StoreError {
    match error {
        EntryError::NoStorageAccess(cause) | EntryError::PlatformFailure(cause) => cause
            .downcast_ref::<Error>()
            .map_or_else(|| StoreError::Refused(error.to_string()), explain),
        EntryError::Ambiguous(_) => {
            StoreError::Refused("it holds more than one item with our name".to_owned())
        }
        _ => StoreError::Refused(error.to_string()),
    }
}

/// No connection to the bus: nothing listens at its address, or there is no address.
fn no_bus(error: &zbus::Error) -> StoreError {
    let cause = match error {
        zbus::Error::Address(_) => None,
        zbus::Error::InputOutput(error) | zbus::Error::Connection(error, _) => Some(error.kind()),
        _ => return StoreError::Refused(format!("no connection to the session bus: {error}")),
    };
    match cause {
        Some(io::ErrorKind::PermissionDenied) => {
            StoreError::Refused("the session bus belongs to another user".to_owned())
        }
        _ => StoreError::Absent("there is no session bus".to_owned()),
    }
}

fn explain(error: &Error) -> StoreError {
    match error {
        Error::Locked | Error::Prompt | Error::PromptDisconnected => StoreError::Locked,
        Error::Unavailable => StoreError::Absent("no Secret Service on the session bus".to_owned()),
        Error::Zbus(zbus::Error::MethodError(name, ..)) => by_name(name.as_str(), error),
        Error::Zbus(zbus::Error::FDO(cause)) => by_fdo(cause, error),
        Error::ZbusFdo(cause) => by_fdo(cause, error),
        _ => StoreError::Refused(error.to_string()),
    }
}

fn by_fdo(cause: &zbus::fdo::Error, error: &Error) -> StoreError {
    match cause {
        Fdo::ZBus(zbus::Error::MethodError(name, ..)) => by_name(name.as_str(), error),
        Fdo::ServiceUnknown(_) | Fdo::NameHasNoOwner(_) => nobody(),
        _ => StoreError::Refused(error.to_string()),
    }
}

fn by_name(name: &str, error: &Error) -> StoreError {
    match name {
        "org.freedesktop.DBus.Error.ServiceUnknown"
        | "org.freedesktop.DBus.Error.NameHasNoOwner" => nobody(),
        "org.freedesktop.Secret.Error.IsLocked" => StoreError::Locked,
        _ => StoreError::Refused(error.to_string()),
    }
}

fn nobody() -> StoreError {
    StoreError::Absent("no Secret Service on the session bus".to_owned())
}
