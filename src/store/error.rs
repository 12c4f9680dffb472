//! Why the store cannot be used, what a person can do about it, and how it tells its state.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::catalogue::{Code, Problem};
use crate::paths::PathError;

/// Where the key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In the operating system's keyring.
    Keyring,
    /// In a file that only its owner may read.
    File,
    /// Nowhere: the store forgets everything.
    Memory,
}

impl KeyPlace {
    /// The word for it in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

/// Whether the store can be used, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ok,
    /// The keyring is locked.
    Locked,
    /// There is no keyring service.
    Absent,
    /// The keyring, the key or the file cannot be used as it is.
    Refused,
    /// The keyring does not answer in time.
    Slow,
}

impl Health {
    /// The word for it in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Locked => "locked",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::Slow => "slow",
        }
    }
}

/// The store as `status` and `doctor` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// Where the key lives; `None` where that was not settled.
    pub kind: Option<KeyPlace>,
    /// Whether it can be used.
    pub health: Health,
    /// What is wrong, and what to do about it.
    pub detail: Option<String>,
    /// What a person should know although nothing is wrong; printed at a sign-in.
    pub notice: Option<String>,
}

impl StoreStatus {
    /// A store that can be used.
    pub fn ok(kind: KeyPlace) -> Self {
        Self {
            kind: Some(kind),
            health: Health::Ok,
            detail: None,
            notice: None,
        }
    }

    /// Whether the store can be used.
    pub fn is_ok(&self) -> bool {
        self.health == Health::Ok
    }
}

/// Why the store cannot be used or did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The keyring, or the collection that holds the key, is locked.
    #[error("the keyring is locked")]
    Locked,
    /// There is no keyring service.
    #[error("there is no keyring service here: {0}")]
    Absent(String),
    /// There is no keyring service any more, and the key is in the keyring.
    #[error("the key that seals the stored sign-ins is in the keyring, and {0}")]
    Vanished(String),
    /// There is a keyring service, but it has no collection to keep anything in, and making one
    /// asks a person for a password.
    #[error("the keyring service has no default keyring yet")]
    NoCollection,
    /// The keyring said no.
    #[error("the keyring refused: {0}")]
    Refused(String),
    /// The daemon stops.
    #[error("doorward is stopping")]
    Stopping,
    /// No answer in time.
    #[error("the keyring or the disk did not answer within {} s", .waited.as_secs())]
    Slow {
        /// How long that was.
        waited: Duration,
    },
    /// The keyring took the key and then did not give it back.
    #[error("the key that was just stored could not be read back")]
    NotKept,
    /// There are sealed records and no key for them.
    #[error("the key that seals the stored sign-ins is gone from the {}", .place.as_str())]
    KeyMissing {
        /// Where it should be.
        place: KeyPlace,
    },
    /// There is a key, but it is not the one that sealed the records.
    #[error("the key in the {} is not the one that sealed the stored sign-ins", .place.as_str())]
    KeyWrong {
        /// Where it is.
        place: KeyPlace,
    },
    /// What stands in the key's place is not a key.
    #[error("what is stored as the key in the {} is not a key", .place.as_str())]
    KeyMalformed {
        /// Where it is.
        place: KeyPlace,
    },
    /// The configuration names another place for the key than the one in which it is.
    #[error("the key is in the {}, and the configuration says {}", .recorded.as_str(), .configured.as_str())]
    OtherPlace {
        /// Where it is.
        recorded: KeyPlace,
        /// Where the configuration has it.
        configured: KeyPlace,
    },
    /// Others may read or write a file of the store.
    #[error("{0}")]
    Exposed(PathError),
    /// A file cannot be used for another reason.
    #[error("{0}")]
    Path(PathError),
    /// Another process has the store open.
    #[error("another process has {} open", .0.display())]
    InUse(PathBuf),
    /// The store was written by a newer version.
    #[error("the store was written by a newer doorward (schema {0})")]
    Newer(u64),
    /// The file is no store, or a part of it is not as it was written.
    #[error("{} is damaged: {error}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The database failed.
    #[error("the store failed: {0}")]
    Backend(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What a person can do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Exposed(error) | Self::Path(error) => return Some(error.remedy()),
            Self::Damaged { file, .. } => {
                let file = file.display();
                return Some(format!(
                    "put it back from a backup, or move it away (mv {file} {file}.damaged) and \
                     sign in again"
                ));
            }
            other => other.usual_remedy()?.to_owned(),
        })
    }

    fn usual_remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Locked => "unlock it and try again",
            Self::Vanished(_) => {
                "start the keyring service, or remove store.redb from the state directory and \
                 sign in again"
            }
            Self::Absent(_) => "start a keyring service, or set `kind = \"file\"` under [store]",
            Self::NoCollection => {
                "create a default keyring, for example with \"Passwords and Keys\", or set \
                 `kind = \"file\"` under [store]"
            }
            Self::Slow { .. } => "look for a question of the keyring on the desktop and answer it",
            Self::KeyMissing { .. } | Self::KeyWrong { .. } | Self::KeyMalformed { .. } => {
                "put the key back from a backup, or remove store.redb from the state directory \
                 and sign in again"
            }
            Self::OtherPlace { .. } => {
                "set [store] kind back, or remove store.redb from the state directory and sign in \
                 again"
            }
            Self::InUse(_) => "stop the other process",
            Self::Newer(_) => "run the newer version",
            Self::Refused(_)
            | Self::NotKept
            | Self::Exposed(_)
            | Self::Path(_)
            | Self::Damaged { .. }
            | Self::Backend(_)
            | Self::Stopping
            | Self::Closed => return None,
        })
    }

    /// The word for it.
    pub fn health(&self) -> Health {
        match self {
            Self::Locked => Health::Locked,
            Self::Absent(_) | Self::Vanished(_) => Health::Absent,
            Self::Slow { .. } => Health::Slow,
            _ => Health::Refused,
        }
    }

    /// The entry of the catalogue for it.
    pub fn problem(&self) -> Problem {
        let problem = match self {
            Self::Locked => return Problem::new(Code::KeyringLocked),
            Self::Absent(reason) => Problem::new(Code::KeyringUnavailable).because(reason),
            Self::Vanished(_) | Self::NoCollection | Self::Refused(_) | Self::NotKept => {
                Problem::new(Code::KeyringUnavailable).because(self)
            }
            Self::KeyMissing { place } => {
                Problem::new(Code::StoreKeyMissing).with("place", format!("the {}", place.as_str()))
            }
            Self::KeyWrong { .. } | Self::KeyMalformed { .. } => {
                Problem::new(Code::StoreKeyMissing).because(self)
            }
            Self::Stopping => Problem::new(Code::Stopping),
            other => Problem::new(Code::StoreFailed).because(other),
        };
        match self.remedy() {
            Some(remedy) => problem.next_step(remedy),
            None => problem,
        }
    }

    /// The status of a store that could not be opened because of this.
    pub fn status(&self) -> StoreStatus {
        let detail = match self.remedy() {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        };
        StoreStatus {
            kind: match self {
                Self::Locked
                | Self::Absent(_)
                | Self::Vanished(_)
                | Self::NoCollection
                | Self::Refused(_) => Some(KeyPlace::Keyring),
                Self::KeyMissing { place }
                | Self::KeyWrong { place }
                | Self::KeyMalformed { place } => Some(*place),
                Self::OtherPlace { recorded, .. } => Some(*recorded),
                _ => None,
            },
            health: self.health(),
            detail: Some(detail),
            notice: None,
        }
    }
}

impl From<PathError> for StoreError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Exposed { .. } => Self::Exposed(error),
            error => Self::Path(error),
        }
    }
}
