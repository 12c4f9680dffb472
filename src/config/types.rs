//! What the daemon runs by. A value of these types is right as a whole: every check has been made
//! and every default filled in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::model::id::{AccountName, AccountRef, UpstreamName};
use crate::model::record::{ClientAuth, KEEP_ENDED, StoreKind};
use crate::model::session::{Grant, SessionPolicy};
use crate::model::token::TokenPolicy;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What `/mcp` and `/` mean.
    pub default_upstream: Option<UpstreamName>,
    /// The port that agents use.
    pub server: Server,
    /// Where secrets are kept.
    pub store: Store,
    /// Lives and limits of sessions.
    pub sessions: Sessions,
    /// When and how credentials are renewed.
    pub refresh: Refresh,
    /// How people sign in.
    pub login: Login,
    /// What is logged.
    pub log: Log,
    /// Old habits of agent programs.
    pub compat: Compat,
    /// The upstreams, by name.
    pub upstreams: BTreeMap<UpstreamName, Arc<Upstream>>,
    /// Whether everything came from variables (`UPSTREAM_MCP_URL` and no upstream in the file).
    pub environment_only: bool,
}

impl Config {
    /// The upstream called `name`.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        let name: UpstreamName = name.parse().ok()?;
        self.upstreams.get(&name)
    }

    /// The accounts of every upstream that is switched on.
    pub fn accounts(&self) -> impl Iterator<Item = (&Arc<Upstream>, AccountRef)> {
        let enabled = self.upstreams.values().filter(|upstream| upstream.enabled);
        enabled.flat_map(|upstream| {
            let refs = upstream.account_refs();
            refs.map(move |account| (upstream, account))
        })
    }

    /// The account that a person or an agent means by `upstream` or `upstream@account`: without
    /// an account, the upstream's default one. `None` where there is no such upstream or account.
    pub fn account(&self, asked: &str) -> Option<(&Arc<Upstream>, AccountRef)> {
        let (name, account) = match asked.split_once('@') {
            None => (asked, None),
            Some((name, account)) => (name, Some(account)),
        };
        let upstream = self.upstream(name)?;
        let account = match account {
            None => upstream.default_account.clone(),
            Some(account) => account.parse().ok()?,
        };
        let known = upstream.accounts.contains_key(&account);
        known.then(|| (upstream, upstream.account_ref(account)))
    }
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address to listen on; loopback.
    pub bind: IpAddr,
    /// The port to listen on.
    pub port: u16,
    /// The address that redirect URIs use, where it is another one; without a slash at the end.
    pub public_base_url: Option<String>,
    /// The path of the redirect URI.
    pub redirect_path: String,
    /// Host names that requests may be addressed to, without a port, in lower case.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may use doorward.
    pub allowed_origins: Vec<String>,
    /// How long a stop waits for running calls.
    pub drain: Duration,
    /// The largest request body, in bytes.
    pub max_body: u64,
}

impl Server {
    /// Where agents reach doorward, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", SocketAddr::new(self.bind, self.port))
    }

    /// The redirect URI of sign-ins.
    pub fn redirect_uri(&self) -> String {
        let base = self.public_base_url.clone();
        base.unwrap_or_else(|| self.base_url()) + &self.redirect_path
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 5177,
            public_base_url: None,
            redirect_path: "/oauth/callback".to_owned(),
            allowed_hosts: ["127.0.0.1", "localhost", "[::1]"]
                .map(str::to_owned)
                .into(),
            allowed_origins: Vec::new(),
            drain: Duration::from_secs(10),
            max_body: 16 << 20,
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where the key lives.
    pub kind: StoreKind,
    /// The service name of keyring items.
    pub service: String,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: StoreKind::Auto,
            service: "doorward".to_owned(),
        }
    }
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// Whether every request of an agent needs a credential.
    pub require: bool,
    /// How long sessions live, where the minting does not say otherwise.
    pub policy: SessionPolicy,
    /// Whether sessions outlive the daemon.
    pub persist: bool,
    /// How many there may be.
    pub max: usize,
    /// What a session may reach, where the minting does not say.
    pub default_grant: Grant,
    /// Whether a session ends with the process it is bound to.
    pub revoke_on_exit: bool,
    /// How long ended sessions stay visible.
    pub keep_ended: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            require: true,
            policy: SessionPolicy::default(),
            persist: true,
            max: 256,
            default_grant: Grant::All,
            revoke_on_exit: true,
            keep_ended: KEEP_ENDED,
        }
    }
}

/// `[refresh]`
#[derive(Clone, Debug, PartialEq)]
pub struct Refresh {
    /// How far ahead of its end a credential is renewed.
    pub policy: TokenPolicy,
    /// How often one renewal is tried before it counts as failed.
    pub attempts: u32,
    /// The first wait between two tries.
    pub retry_base: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// Whether credentials that ended while the machine slept are renewed when it wakes.
    pub on_resume: bool,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            policy: TokenPolicy::default(),
            attempts: 5,
            retry_base: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            on_resume: true,
        }
    }
}

/// `[login]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// How long a tool call waits for a person; zero: not at all.
    pub hold: Duration,
    /// How long a sign-in may take.
    pub window: Duration,
    /// What opens the sign-in page.
    pub browser: Browser,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(45),
            window: Duration::from_mins(5),
            browser: Browser::Default,
        }
    }
}

/// What opens a sign-in page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browser {
    /// `$BROWSER`, else the one of the desktop.
    Default,
    /// Nothing: the address is printed.
    None,
    /// A command; `{url}` in it stands for the address.
    Command(String),
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter of the form that `DOORWARD_LOG` has as well.
    pub level: String,
    /// The form of the lines.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[compat]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compat {
    /// Whether the default upstream is served at `/`, `/mcp` and `/mcp/*` too.
    pub root_proxy: bool,
    /// How agents are told that a person must sign in.
    pub upstream_login_error: LoginErrorForm,
}

impl Default for Compat {
    fn default() -> Self {
        Self {
            root_proxy: true,
            upstream_login_error: LoginErrorForm::JsonRpc,
        }
    }
}

/// How agents are told that a person must sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginErrorForm {
    /// As decision D10 has it.
    JsonRpc,
    /// HTTP 401, for programs known not to start a sign-in of their own on it.
    Http,
}

/// `[upstreams.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name.
    pub name: UpstreamName,
    /// Its address.
    pub url: UpstreamUrl,
    /// What people call it.
    pub label: Option<String>,
    /// Whether it is served.
    pub enabled: bool,
    /// Fields added to every request; their values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the tail of `/u/NAME/tail` is appended to the address.
    pub allow_subpaths: bool,
    /// Whether an address outside loopback may be plain `http`.
    pub allow_http: bool,
    /// The identities on it; at least one.
    pub accounts: BTreeMap<AccountName, Account>,
    /// The one meant when none is named.
    pub default_account: AccountName,
    /// How doorward proves itself to it.
    pub auth: Auth,
    /// Whether its credentials are renewed although nobody uses them.
    pub keep_warm: bool,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time to the first byte of an answer.
    pub first_byte_timeout: Duration,
    /// The longest silence within an answer.
    pub idle_timeout: Duration,
    /// How many calls may run at once.
    pub max_concurrency: usize,
    /// What becomes of the agent's `User-Agent`.
    pub user_agent: UserAgent,
    /// Whether requests carry `Via`.
    pub via: bool,
    /// What TLS needs beyond the trust store of the system.
    pub tls: Tls,
}

impl Upstream {
    /// `account` of this upstream.
    pub fn account_ref(&self, account: AccountName) -> AccountRef {
        AccountRef {
            upstream: self.name.clone(),
            account,
        }
    }

    /// All its accounts.
    pub fn account_refs(&self) -> impl Iterator<Item = AccountRef> {
        let names = self.accounts.keys().cloned();
        names.map(|account| self.account_ref(account))
    }

    /// What people call it: its label, else its name.
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(self.name.as_str())
    }
}

/// The address of an upstream: it goes out exactly as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    written: String,
    url: Url,
}

impl UpstreamUrl {
    /// Reads an address. `None` where it is none, or not one of `http` and `https`.
    pub fn parse(written: &str) -> Option<Self> {
        let url = Url::parse(written).ok()?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        usable.then(|| Self {
            written: written.to_owned(),
            url,
        })
    }

    /// As it was written: with the slash at the end or without, and with its query.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// In parts.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// `[upstreams.NAME.accounts.ACCOUNT]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What people call it.
    pub label: Option<String>,
    /// The scopes to ask for, where they differ from those of the upstream.
    pub scopes: Option<Vec<String>>,
}

/// How doorward proves itself to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A person signs in; tokens are renewed.
    Oauth(Box<Oauth>),
    /// It asks for nothing.
    None,
}

impl Auth {
    /// The word for it in the configuration and in tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Oauth(_) => "oauth",
            Self::None => "none",
        }
    }

    /// The settings of a sign-in, where there is one.
    pub fn oauth(&self) -> Option<&Oauth> {
        match self {
            Self::Oauth(oauth) => Some(oauth),
            Self::None => None,
        }
    }
}

/// The settings of a sign-in; what is `None` is discovered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oauth {
    /// The scopes to ask for.
    pub scopes: Option<Vec<String>>,
    /// The scopes to ask for where none are configured and discovery names none.
    pub fallback_scopes: Vec<String>,
    /// The `resource` parameter (RFC 8707).
    pub resource: Resource,
    /// The client identity; without one, doorward registers.
    pub client_id: Option<String>,
    /// Where its secret is.
    pub client_secret: Option<SecretSource>,
    /// How the client proves itself; `None`: as the server offers.
    pub client_auth: Option<ClientAuth>,
    /// Whether doorward may register by itself.
    pub register: Register,
    /// The authorization server.
    pub issuer: Option<Url>,
    /// Endpoints that replace discovery.
    pub endpoints: Option<Endpoints>,
    /// The revocation endpoint (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// Where the provider sends the browser back to.
    pub redirect: Redirect,
    /// Parameters added to the authorization request.
    pub extra_authorize: BTreeMap<String, String>,
    /// A path on the upstream's origin whose 401 tells where the metadata is.
    pub probe_path: Option<String>,
    /// Whether an upstream without any metadata is taken for one of the 2025-03-26 revision.
    pub legacy_2025_03_26: bool,
}

/// What an upstream that came from `UPSTREAM_MCP_URL` is asked for where nothing names scopes.
pub const FALLBACK_SCOPES: [&str; 3] = ["mcp:tools", "mcp:resources", "offline_access"];

/// The `resource` parameter (RFC 8707).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resource {
    /// What the metadata says, else the address of the upstream.
    #[default]
    Auto,
    /// None.
    Off,
    /// This.
    Value(String),
}

/// Whether doorward may register by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Register {
    /// Where the server offers it.
    #[default]
    Auto,
    /// Dynamically only (RFC 7591).
    Dynamic,
    /// Not at all.
    Never,
}

/// Where the provider sends the browser back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// The fixed port on loopback.
    #[default]
    Loopback,
    /// `server.public_base_url`.
    Public,
}

/// Endpoints that replace discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorization: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token: Url,
}

/// Where a secret is kept; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the daemon's environment.
    Variable(String),
    /// A file that nobody else may read.
    File(PathBuf),
}

/// What becomes of the agent's `User-Agent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserAgent {
    /// Ours is added behind it.
    #[default]
    Append,
    /// It is sent as it came.
    Forward,
    /// Ours is sent in its place.
    Replace,
}

/// What TLS needs beyond the trust store of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Further authorities to trust, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The certificate with which doorward proves itself, in PEM, and its key.
    pub client: Option<ClientCertificate>,
}

/// A certificate of doorward's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate chain, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}
