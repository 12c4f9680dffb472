//! What a person hands over: secrets, and the end of a sign-in that happened elsewhere. Neither can
//! be printed.

use serde::{Deserialize, Serialize};

/// Hands over the secret of an upstream.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// The secret.
    pub secret: String,
}

/// Hands over the address that the browser was sent back to.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasteLogin {
    /// As it stands in the browser.
    pub url: String,
}
