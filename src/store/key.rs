//! The one key of an installation, and the decision where it lives (decision D5).
//!
//! The decision is made when there are no records yet, written into the store, and kept. A new
//! key is made only where there is nothing that an old one could have sealed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::KeyCheck;
use super::db::Database;
use super::error::{KeyPlace, StoreError, StoreStatus};
use super::keyring::Keyring;
use super::seal::Sealer;
use crate::clock::Random;
use crate::model::record::StoreKind;
use crate::model::secret::Secret;
use crate::paths::{self, Paths};

/// The key itself.
#[derive(Clone, Debug)]
pub(super) struct MasterKey(Secret<[u8; 32]>);

/// Tells keys apart without telling anything about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId(pub(super) [u8; KeyId::LEN]);

impl KeyId {
    pub(super) const LEN: usize = 8;
}

impl MasterKey {
    pub(super) fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self(Secret::new(*bytes))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(super) fn id(&self) -> KeyId {
        let digest = Sha256::new()
            .chain_update(b"doorward key id\0")
            .chain_update(self.expose())
            .finalize();
        let mut id = [0; KeyId::LEN];
        id.copy_from_slice(&digest[..KeyId::LEN]);
        KeyId(id)
    }

    /// The key as text: some keyrings keep nothing else.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(Base64::encode_string(self.expose()))
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        let decoded = Base64::decode(text.trim_ascii(), &mut *bytes).ok()?;
        (decoded.len() == 32).then(|| Self(Secret::new(*bytes)))
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

/// The decision as it is recorded in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Keyring,
    /// `None` is the file beside the store, wherever that is moved to. `chosen` tells a file that
    /// a person asked for from one that had to do.
    File {
        path: Option<PathBuf>,
        chosen: bool,
    },
    Memory,
}

impl Place {
    fn kind(&self) -> KeyPlace {
        match self {
            Self::Keyring => KeyPlace::Keyring,
            Self::File { .. } => KeyPlace::File,
            Self::Memory => KeyPlace::Memory,
        }
    }
}

/// The key in use and where it lives.
pub(super) struct KeySource {
    key: MasterKey,
    place: Place,
    beside: PathBuf,
    keyring: Arc<dyn Keyring>,
}

impl KeySource {
    /// Decides, or follows the decision there is, and gets the key or makes it.
    pub(super) fn settle(
        paths: &Paths,
        kind: &StoreKind,
        keyring: Arc<dyn Keyring>,
        store: &mut Database,
        random: &dyn Random,
    ) -> Result<Self, StoreError> {
        let recorded = store.place()?;
        // Nothing is sealed yet: the decision may be made anew.
        let pristine = store.is_empty()?;
        let place = match recorded {
            Some(place) if !pristine => follow(place, kind)?,
            Some(place) if *kind == StoreKind::Auto => place,
            _ => choose(kind, &*keyring)?,
        };
        let mut source = Self {
            key: MasterKey::generate(random),
            place,
            beside: paths.key.clone(),
            keyring,
        };
        let known = store.key_id()?;
        let found = source.read().map_err(|error| match error {
            // What holds for a first decision is no help where there are sealed records.
            StoreError::Absent(reason) if !pristine => StoreError::Vanished(reason),
            StoreError::NoCollection if !pristine => StoreError::KeyMissing {
                place: KeyPlace::Keyring,
            },
            error => error,
        })?;
        match found {
            Some(found) if pristine || known == Some(found.id()) => source.key = found,
            Some(_) => {
                return Err(StoreError::KeyWrong {
                    place: source.place.kind(),
                });
            }
            None if !pristine => {
                return Err(StoreError::KeyMissing {
                    place: source.place.kind(),
                });
            }
            None => {
                source.write()?;
                if source.read()?.as_ref() != Some(&source.key) {
                    return Err(StoreError::NotKept);
                }
            }
        }
        store.record_key(&source.place, source.key.id())?;
        Ok(source)
    }

    pub(super) fn sealer(&self, random: Arc<dyn Random>) -> Sealer {
        Sealer::new(&self.key, random)
    }

    pub(super) fn status(&self) -> StoreStatus {
        let notice = match &self.place {
            Place::File {
                path,
                chosen: false,
            } => Some(format!(
                "there is no keyring service here, so the key that seals your sign-ins is kept \
                 in the file {}, which only you may read",
                self.file(path.as_deref()).display()
            )),
            Place::Memory => Some("nothing is kept: sign-ins end with the daemon".to_owned()),
            Place::File { .. } | Place::Keyring => None,
        };
        StoreStatus {
            notice,
            ..StoreStatus::ok(self.place.kind())
        }
    }

    /// Makes what is kept agree with what is in use.
    pub(super) fn check(&self) -> Result<KeyCheck, StoreError> {
        match self.read() {
            Ok(Some(found)) if found == self.key => return Ok(KeyCheck::Intact),
            Ok(_) | Err(StoreError::KeyMalformed { .. }) => {}
            Err(error) => return Err(error),
        }
        self.write()?;
        if self.read()?.as_ref() != Some(&self.key) {
            return Err(StoreError::NotKept);
        }
        tracing::warn!(
            place = self.place.kind().as_str(),
            "the stored key was changed or removed; restored"
        );
        Ok(KeyCheck::Restored)
    }

    fn read(&self) -> Result<Option<MasterKey>, StoreError> {
        match &self.place {
            Place::Keyring => self.keyring.read(),
            Place::File { path, .. } => read_file(self.file(path.as_deref())),
            // The key was made a moment ago and is kept by nobody else.
            Place::Memory => Ok(Some(self.key.clone())),
        }
    }

    fn write(&self) -> Result<(), StoreError> {
        match &self.place {
            Place::Keyring => self.keyring.write(&self.key),
            Place::File { path, .. } => {
                let file = self.file(path.as_deref());
                paths::write_private(file, self.key.to_text().as_bytes())
                    .map_err(|error| paths::PathError::io(file, &error).into())
            }
            Place::Memory => Ok(()),
        }
    }

    fn file<'a>(&'a self, path: Option<&'a Path>) -> &'a Path {
        path.unwrap_or(&self.beside)
    }
}

/// The first decision.
fn choose(kind: &StoreKind, keyring: &dyn Keyring) -> Result<Place, StoreError> {
    match kind {
        StoreKind::Auto => match keyring.look() {
            Ok(()) => Ok(Place::Keyring),
            Err(StoreError::Absent(_)) => Ok(Place::File {
                path: None,
                chosen: false,
            }),
            Err(error) => Err(error),
        },
        StoreKind::Keyring => keyring.look().map(|()| Place::Keyring),
        StoreKind::File(path) => Ok(Place::File {
            path: path.clone(),
            chosen: true,
        }),
        StoreKind::Memory => Ok(Place::Memory),
    }
}

/// The decision that was made, unless the configuration now contradicts it.
fn follow(recorded: Place, kind: &StoreKind) -> Result<Place, StoreError> {
    let configured = match kind {
        StoreKind::Auto => return Ok(recorded),
        StoreKind::Keyring => Place::Keyring,
        // The file itself may have moved: whether it holds the right key is checked anyway.
        StoreKind::File(path) => Place::File {
            path: path.clone(),
            chosen: true,
        },
        StoreKind::Memory => Place::Memory,
    };
    if configured.kind() == recorded.kind() {
        return Ok(configured);
    }
    Err(StoreError::OtherPlace {
        recorded: recorded.kind(),
        configured: configured.kind(),
    })
}

fn read_file(path: &Path) -> Result<Option<MasterKey>, StoreError> {
    paths::refuse_exposed(path)?;
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => MasterKey::from_text(&text)
            .map(Some)
            .ok_or(StoreError::KeyMalformed {
                place: KeyPlace::File,
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(StoreError::KeyMalformed {
            place: KeyPlace::File,
        }),
        Err(error) => Err(paths::PathError::io(path, &error).into()),
    }
}
