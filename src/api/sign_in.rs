//! What is asked for a sign-in and a sign-out, and how far they are. Unknown fields of a request are
//! refused: an option that an older daemon would ignore must not look obeyed.

use serde::{Deserialize, Serialize};

use super::{Account, Moment, Trouble};

/// Asks for a sign-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartLogin {
    /// Even where the account is signed in.
    #[serde(default)]
    pub force: bool,
    /// The scopes to ask for, in place of those configured.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Scopes to ask for beside those.
    #[serde(default)]
    pub add_scopes: Vec<String>,
    /// How long the sign-in may take, in seconds; without it, as configured.
    #[serde(default)]
    pub window_s: Option<u64>,
    /// Whether the person will paste the address that the browser is sent back to.
    #[serde(default)]
    pub paste: bool,
    /// Whether the person will enter a code on another device.
    #[serde(default)]
    pub device: bool,
}

/// `doorward/login-started/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginStarted {
    /// Which document it is.
    pub schema: String,
    /// The page to open; `null` where nobody needs to sign in.
    pub url: Option<String>,
    /// When the page is good for nothing any more.
    pub expires_at: Option<Moment>,
    /// The account, where it is signed in already and `force` was not asked for.
    pub already_signed_in: Option<Account>,
    /// The command with which the configuration would open a browser; `none` for not at all.
    #[serde(default)]
    pub browser: Option<String>,
    /// The host at which the person signs in.
    #[serde(default)]
    pub host: Option<String>,
    /// The issuer of the sign-in before, where it was another one.
    #[serde(default)]
    pub moved_from: Option<String>,
    /// What may keep the sign-in from ending, where something may.
    #[serde(default)]
    pub note: Option<String>,
    /// The provider's page itself, for who will paste where it leads to.
    #[serde(default)]
    pub authorize_url: Option<String>,
    /// What to enter on another device, for a sign-in there; `url` is `null` then.
    #[serde(default)]
    pub device: Option<super::DeviceCode>,
}

impl LoginStarted {
    /// The document of a sign-in that waits for a person.
    pub fn at(url: String, expires_at: Moment, browser: Option<String>) -> Self {
        Self {
            schema: "doorward/login-started/v1".to_owned(),
            url: Some(url),
            expires_at: Some(expires_at),
            already_signed_in: None,
            browser,
            host: None,
            moved_from: None,
            note: None,
            authorize_url: None,
            device: None,
        }
    }

    /// The document of a sign-in on another device.
    pub fn on_device(code: super::DeviceCode, expires_at: Moment) -> Self {
        Self {
            url: None,
            device: Some(code),
            ..Self::at(String::new(), expires_at, None)
        }
    }

    /// The document of a sign-in that is not needed.
    pub fn needless(account: Account) -> Self {
        Self {
            schema: "doorward/login-started/v1".to_owned(),
            url: None,
            expires_at: None,
            already_signed_in: Some(account),
            browser: None,
            host: None,
            moved_from: None,
            note: None,
            authorize_url: None,
            device: None,
        }
    }
}

/// How far a sign-in is: `doorward/login/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProgress {
    /// Which document it is.
    pub schema: String,
    /// How far.
    pub state: LoginState,
    /// The account, once it is signed in.
    pub account: Option<Account>,
    /// Why it failed, once it has.
    pub problem: Option<Trouble>,
    /// What to know about a sign-in that worked, such as a missing refresh token.
    #[serde(default)]
    pub warnings: Vec<Trouble>,
}

impl LoginProgress {
    /// The document.
    pub fn new(state: LoginState) -> Self {
        Self {
            schema: "doorward/login/v1".to_owned(),
            state,
            account: None,
            problem: None,
            warnings: Vec::new(),
        }
    }
}

/// How far a sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginState {
    /// A person is at it.
    Pending,
    /// Done.
    Succeeded,
    /// Over.
    Failed,
}

/// Asks for a sign-out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// Whether to keep the registered client.
    #[serde(default)]
    pub keep_client: bool,
    /// Whether to leave the provider alone.
    #[serde(default)]
    pub local: bool,
}

/// `doorward/logged-out/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedOut {
    /// Which document it is.
    pub schema: String,
    /// Which account.
    pub account: String,
    /// What became of the tokens at the provider.
    pub provider: ProviderRevocation,
    /// What the provider answered, where it did not revoke.
    pub detail: Option<String>,
}

impl LoggedOut {
    /// The document.
    pub fn new(account: String, provider: ProviderRevocation, detail: Option<String>) -> Self {
        Self {
            schema: "doorward/logged-out/v1".to_owned(),
            account,
            provider,
            detail,
        }
    }
}

/// What became of tokens at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderRevocation {
    /// It revoked them.
    Revoked,
    /// It offers no revocation.
    NotOffered,
    /// It was not asked.
    NotAsked,
    /// It could not be asked, or refused.
    Failed,
    /// There was nothing to revoke.
    NothingHeld,
}
