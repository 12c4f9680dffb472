//! What is known of an upstream from the configuration: its address, its limits, its accounts,
//! and how doorward signs in to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::{
    ClientCredentials, Exec, Grounds, Passthrough, ProofSource, Proxy, SecretSource, Static,
};
use crate::model::id::{AccountName, AccountRef, UpstreamName};
use crate::model::record::ClientAuth;

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
    /// What becomes of agents' sessions while it cannot be asked.
    pub keep_alive: KeepAlive,
    /// Which transport of MCP it speaks.
    pub transport: Transport,
    /// Whether it is asked in HTTP/2 where it can.
    pub http2: bool,
    /// What TLS needs beyond the trust store of the system.
    pub tls: Tls,
    /// The way out to it and to its authorization server.
    pub proxy: Proxy,
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
    /// Doorward signs in by itself.
    ClientCredentials(Box<ClientCredentials>),
    /// A secret is stored.
    Static(Static),
    /// A command prints a token.
    Exec(Exec),
    /// The agent sends its own token.
    Passthrough(Passthrough),
    /// It asks for nothing.
    None,
}

impl Auth {
    /// The word for it in the configuration and in tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Oauth(_) => "oauth",
            Self::ClientCredentials(client) => match client.grounds {
                Grounds::Client => "client_credentials",
                Grounds::Assertion(_) => "jwt_bearer",
                Grounds::Exchange(_) => "token_exchange",
            },
            Self::Static(_) => "static",
            Self::Exec(_) => "exec",
            Self::Passthrough(_) => "passthrough",
            Self::None => "none",
        }
    }

    /// Whether doorward has a credential for it, which its token manager keeps.
    pub fn is_managed(&self) -> bool {
        !matches!(self, Self::Passthrough(_) | Self::None)
    }

    /// The place of the secret that it is used with, where there is one.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Oauth(oauth) => oauth.proof.as_ref().map(ProofSource::place),
            Self::ClientCredentials(client) => match (&client.proof, &client.grounds) {
                (Some(proof), _) => Some(proof.place()),
                (None, Grounds::Assertion(place)) => Some(place),
                (None, Grounds::Exchange(idp)) => Some(&idp.subject),
                (None, Grounds::Client) => None,
            },
            Self::Static(stored) => Some(&stored.secret),
            Self::Exec(_) | Self::Passthrough(_) | Self::None => None,
        }
    }

    /// The settings of a sign-in, where there is one.
    pub fn oauth(&self) -> Option<&Oauth> {
        match self {
            Self::Oauth(oauth) => Some(oauth),
            _ => None,
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
    /// What that client proves itself with.
    pub proof: Option<ProofSource>,
    /// How the client proves itself; `None`: as the server offers.
    pub client_auth: Option<ClientAuth>,
    /// The URL of a client metadata document, which is the client's id at servers that fetch it.
    pub client_metadata_url: Option<String>,
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
    /// Whether the upstream's name is added to the redirect URI, so that no other server is sent
    /// the same (RFC 9700 §4.4.2.2).
    pub redirect_per_upstream: bool,
    /// Parameters added to the authorization request.
    pub extra_authorize: BTreeMap<String, String>,
    /// A path on the upstream's origin whose 401 tells where the metadata is.
    pub probe_path: Option<String>,
    /// Whether people sign in on another device, unless they ask for another way.
    pub prefer_device_flow: bool,
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
    /// By the metadata document only.
    Document,
    /// Dynamically only (RFC 7591).
    Dynamic,
    /// Not at all.
    Never,
}

/// Where the provider sends the browser back to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// The fixed port on loopback, by its address.
    #[default]
    Loopback,
    /// The same by the name `localhost`, for servers that refuse addresses.
    Localhost,
    /// `server.public_base_url`.
    Public,
    /// A port of its own on loopback, for the time of a sign-in (RFC 8252 §7.3).
    Ephemeral,
    /// Another address of this machine: the one that the client is registered with.
    Registered(Registered),
}

/// A redirect URI on loopback that a client is registered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// As it is written, which is how servers compare it.
    pub uri: String,
    /// Its host: the address, or the name `localhost`.
    pub host: LoopbackHost,
    /// Its port.
    pub port: u16,
    /// Its path.
    pub path: String,
}

/// How a redirect URI names this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackHost {
    /// `127.0.0.1`
    Address,
    /// `localhost`, which browsers take for `[::1]` too.
    Name,
}

impl LoopbackHost {
    /// As it stands in a URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "127.0.0.1",
            Self::Name => "localhost",
        }
    }
}

/// Endpoints that replace discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorization: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token: Url,
}

/// What becomes of agents' sessions while an upstream cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAlive {
    /// Handshakes and lists are answered in its place, and calls wait for a sign-in.
    #[default]
    Auto,
    /// Agents are told the trouble as it is.
    Off,
}

/// Which transport of MCP an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP, of 2025-03-26 and later.
    #[default]
    Streamable,
    /// HTTP+SSE, of 2024-11-05.
    Sse,
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
