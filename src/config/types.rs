//! What the daemon runs by. A value of these types is right as a whole: every check has been made
//! and every default filled in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Upstream;
use crate::model::id::{AccountRef, UpstreamName};
use crate::model::record::{KEEP_ENDED, StoreKind};
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
    /// Whether the desktop says who must be signed in to.
    pub notify: bool,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(45),
            window: Duration::from_mins(5),
            browser: Browser::Default,
            notify: true,
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
    /// The same as the first; programs that say they can are asked to open the link.
    Elicitation,
}
