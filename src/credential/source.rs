//! Fetches a secret from where the configuration says it is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::command::{self, Invocation};
use crate::config::SecretSource;
use crate::model::fault::{CommandFault, TransientCause};
use crate::model::secret::ClientSecret;
use crate::store::Store;

/// How long a command may take that prints a secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// It is not where it should be, in words for the entry `secret_unavailable`.
    #[error("{0}")]
    Unavailable(String),
    /// Nobody has handed it over.
    #[error("nothing is stored under the name {0}")]
    NotStored(String),
    /// The command that prints it failed.
    #[error(transparent)]
    Command(#[from] CommandFault),
}

impl From<SecretFault> for TransientCause {
    fn from(fault: SecretFault) -> Self {
        match fault {
            SecretFault::Unavailable(why) => Self::Secret(why),
            SecretFault::NotStored(item) => Self::NotStored(item),
            SecretFault::Command(fault) => Self::Command(fault),
        }
    }
}

/// The secret at `source`, read anew.
pub async fn read(source: &SecretSource, store: &Store) -> Result<ClientSecret, SecretFault> {
    match source {
        SecretSource::Variable(name) => match std::env::var(name) {
            Ok(text) if !text.is_empty() => Ok(ClientSecret::new(text)),
            _ => Err(SecretFault::Unavailable(format!(
                "{name} is not set in the environment of the daemon"
            ))),
        },
        SecretSource::File(path) => of_file(path).map_err(SecretFault::Unavailable),
        SecretSource::Stored(item) => {
            let found = store.secret(item).await;
            let found = found.map_err(|error| SecretFault::Unavailable(error.to_string()))?;
            found.ok_or_else(|| SecretFault::NotStored(item.clone()))
        }
        SecretSource::Command(command) => {
            let env = BTreeMap::new();
            let invocation = Invocation {
                command,
                env: &env,
                timeout: COMMAND_TIMEOUT,
                install_hint: None,
            };
            let printed = command::stdout(&invocation).await?;
            let text = String::from_utf8_lossy(&printed);
            match text.trim_end_matches(['\r', '\n']) {
                "" => Err(CommandFault::Output {
                    command: invocation.name(),
                    what: "it is empty".to_owned(),
                }
                .into()),
                secret => Ok(ClientSecret::new(secret)),
            }
        }
    }
}

/// A small file that nobody else may read.
fn of_file(path: &Path) -> Result<ClientSecret, String> {
    let shown = path.display();
    let facts = std::fs::metadata(path).map_err(|e| format!("{shown}: {e}"))?;
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(format!("{shown} can be read by others: chmod 600 {shown}"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("{shown}: {e}"))?;
    let text = Zeroizing::new(text);
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{shown} is empty")),
        secret => Ok(ClientSecret::new(secret)),
    }
}
