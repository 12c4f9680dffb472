//! A sign-in on another device.

use serde::{Deserialize, Serialize};

/// What the person there needs (RFC 8628 §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCode {
    /// What they enter.
    pub user_code: String,
    /// The page that asks for it.
    pub verification_uri: String,
    /// The page that knows it already, where there is one.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
}
