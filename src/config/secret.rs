//! Fetches a secret from where the configuration says it is.

use std::os::unix::fs::PermissionsExt;

use super::types::SecretSource;
use crate::model::secret::ClientSecret;

impl SecretSource {
    /// The secret, or why it cannot be had, in words for the entry `secret_unavailable`.
    pub fn read(&self) -> Result<ClientSecret, String> {
        match self {
            Self::Variable(name) => match std::env::var(name) {
                Ok(text) if !text.is_empty() => Ok(ClientSecret::new(text)),
                _ => Err(format!(
                    "{name} is not set in the environment of the daemon"
                )),
            },
            Self::File(path) => {
                let shown = path.display();
                let facts = std::fs::metadata(path).map_err(|e| format!("{shown}: {e}"))?;
                if facts.permissions().mode() & 0o077 != 0 {
                    return Err(format!("{shown} can be read by others: chmod 600 {shown}"));
                }
                let text = std::fs::read_to_string(path).map_err(|e| format!("{shown}: {e}"))?;
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    return Err(format!("{shown} is empty"));
                }
                Ok(ClientSecret::new(text))
            }
        }
    }
}
