//! Upstreams and their accounts as documents show them. There is never a token in them.

use serde::{Deserialize, Serialize};

use super::{Moment, Trouble};

/// `doorward/upstreams/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstreams {
    /// Which document it is.
    pub schema: String,
    /// Every account of every upstream.
    pub items: Vec<Account>,
}

impl Upstreams {
    /// The document.
    pub fn new(items: Vec<Account>) -> Self {
        Self {
            schema: "doorward/upstreams/v1".to_owned(),
            items,
        }
    }
}

/// One account of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The upstream.
    pub name: String,
    /// The account on it.
    pub account: String,
    /// What people call it.
    pub label: Option<String>,
    /// The upstream's address.
    pub url: String,
    /// Where agents find it.
    pub local_url: String,
    /// `oauth` or `none`.
    pub auth: String,
    /// How it is.
    pub state: AccountState,
    /// Who signed in.
    pub identity: Option<String>,
    /// What the sign-in covers.
    pub scopes: Vec<String>,
    /// Its token, never the token itself.
    pub token: Option<Token>,
    /// When an agent last used it.
    pub last_used_at: Option<Moment>,
    /// How many sessions may use it.
    #[serde(default)]
    pub sessions: usize,
    /// What is wrong with it.
    pub problem: Option<Trouble>,
}

impl Account {
    /// As people write it: `notion@work`, or `notion` for the default account.
    pub fn reference(&self) -> String {
        if self.account == "default" {
            self.name.clone()
        } else {
            format!("{}@{}", self.name, self.account)
        }
    }
}

/// How an account is, in the order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Usable.
    Ready,
    /// A refresh is running; requests wait for it.
    Refreshing,
    /// It cannot be refreshed and ends within a day.
    Expiring,
    /// A person must sign in.
    Login,
    /// The upstream or its authorization server fails; it is tried again.
    Error,
    /// Switched off.
    Disabled,
}

impl AccountState {
    /// Whether requests go to the upstream now.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Ready | Self::Refreshing | Self::Expiring)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Refreshing => "refreshing",
            Self::Expiring => "expiring",
            Self::Login => "login",
            Self::Error => "error",
            Self::Disabled => "disabled",
        }
    }
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// When it ends, if that is known.
    pub expires_at: Option<Moment>,
    /// When it was last renewed.
    pub refreshed_at: Option<Moment>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
}

/// `doorward/upstream/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamDetail {
    /// Which document it is.
    pub schema: String,
    /// Its accounts.
    pub items: Vec<Account>,
    /// Its settings with their sources.
    pub settings: Vec<SettingView>,
    /// The redirect URI to register at the provider.
    pub redirect_uri: String,
    /// Which metadata document answered what, in order.
    #[serde(default)]
    pub discovery: Vec<String>,
}

impl UpstreamDetail {
    /// The document.
    pub fn new(items: Vec<Account>, settings: Vec<SettingView>, redirect_uri: String) -> Self {
        Self {
            schema: "doorward/upstream/v1".to_owned(),
            items,
            settings,
            redirect_uri,
            discovery: Vec::new(),
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingView {
    /// Its name.
    pub key: String,
    /// Its value as it would be written.
    pub value: String,
    /// Where it came from.
    pub source: String,
}

/// `doorward/refreshed/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// Which document it is.
    pub schema: String,
    /// The account after the refresh.
    pub account: Account,
}

impl Refreshed {
    /// The document.
    pub fn new(account: Account) -> Self {
        Self {
            schema: "doorward/refreshed/v1".to_owned(),
            account,
        }
    }
}

/// `doorward/test/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// Which document it is.
    pub schema: String,
    /// The upstream account that was tested.
    pub account: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What is wrong, if anything.
    pub problem: Option<Trouble>,
}

impl TestReport {
    /// The document.
    pub fn new(account: String, steps: Vec<Step>, problem: Option<Trouble>) -> Self {
        Self {
            schema: "doorward/test/v1".to_owned(),
            account,
            steps,
            problem,
        }
    }
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, such as `discovery`.
    pub name: String,
    /// How it went.
    pub result: StepResult,
    /// What was found.
    pub message: String,
    /// How long it took.
    pub ms: u64,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// Well.
    Ok,
    /// Well, with a remark.
    Warn,
    /// Badly.
    Fail,
    /// Not at all, because of an earlier one.
    Skip,
}

impl StepResult {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}
