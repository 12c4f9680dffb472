//! The sections of one upstream: its address, its limits, and how doorward signs in to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::{Host, Url};

use super::file;
use crate::config::raw::{Node, Origin, Value};
use crate::config::read::{
    COUNT, DURATION, Kind, LIST, Section, TEXT, Variables, Wrong, YES, expand, text, word,
};
use crate::config::types::{
    Account, Auth, ClientCertificate, Endpoints, FALLBACK_SCOPES, Oauth, Redirect, Register,
    Resource, SecretSource, Server, Tls, Upstream, UpstreamUrl, UserAgent,
};
use crate::model::id::{AccountName, UpstreamName};
use crate::model::record::ClientAuth;

/// What upstreams inherit.
pub(super) struct Defaults {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    concurrency: usize,
    user_agent: UserAgent,
    via: bool,
}

const USER_AGENT: Kind<'static, UserAgent> = Kind {
    shape: "text",
    parse: &|node| {
        word(
            node,
            &[
                ("append", UserAgent::Append),
                ("forward", UserAgent::Forward),
                ("replace", UserAgent::Replace),
            ],
        )
    },
};

pub(super) fn defaults(mut section: Section<'_>) -> Defaults {
    let defaults = Defaults {
        connect: section.read("connect_timeout", "5s", DURATION),
        first_byte: section.read("first_byte_timeout", "60s", DURATION),
        idle: section.read("idle_timeout", "10m", DURATION),
        concurrency: section.read("max_concurrency", "64", COUNT),
        user_agent: section.read("user_agent", "append", USER_AGENT),
        via: section.read("via", "true", YES),
    };
    section.later("forward_headers");
    section.later("proxy");
    section.finish();
    defaults
}

pub(super) fn upstream(
    name: &UpstreamName,
    mut section: Section<'_>,
    defaults: &Defaults,
    variables: &Variables,
    server: &Server,
) -> Option<Upstream> {
    let allow_http = section.read("allow_http", "false", YES);
    let url = url(&mut section, allow_http, variables);
    let auth = auth(section.table("auth"), variables, server);
    let usable = auth.is_some();
    let accounts = accounts(&mut section);
    let default_account = default_account(&mut section, &accounts);
    for key in ["tools", "forward_headers", "proxy"] {
        section.later(key);
    }
    let upstream = Upstream {
        name: name.clone(),
        url: url.unwrap_or_else(placeholder),
        label: section.optional("label", TEXT),
        enabled: section.read("enabled", "true", YES),
        headers: headers(&mut section, variables),
        allow_subpaths: section.read("allow_subpaths", "false", YES),
        allow_http,
        accounts,
        default_account,
        keep_warm: section.read("keep_warm", "false", YES),
        connect_timeout: section.inherited("connect_timeout", &defaults.connect, DURATION),
        first_byte_timeout: section.inherited("first_byte_timeout", &defaults.first_byte, DURATION),
        idle_timeout: section.inherited("idle_timeout", &defaults.idle, DURATION),
        max_concurrency: section.inherited("max_concurrency", &defaults.concurrency, COUNT),
        user_agent: section.inherited("user_agent", &defaults.user_agent, USER_AGENT),
        via: section.inherited("via", &defaults.via, YES),
        tls: tls(section.table("tls"), variables),
        auth: auth.unwrap_or(Auth::None),
    };
    section.finish();
    usable.then_some(upstream)
}

/// Stands for an address that has been found wrong; a configuration with it is never used.
fn placeholder() -> UpstreamUrl {
    UpstreamUrl::parse("http://127.0.0.1/").expect("a valid address")
}

fn url(section: &mut Section<'_>, allow_http: bool, variables: &Variables) -> Option<UpstreamUrl> {
    let kind = Kind {
        shape: "text",
        parse: &|node: &Node| remote_url(&expand(&text(node)?, variables)?, allow_http),
    };
    let missing = section.written("url").is_none();
    let url = section.optional("url", kind);
    if missing {
        let wrong = Wrong::new("is missing", "an upstream needs one");
        let help = format!("write url = \"https://…\" below [{}]", section.path);
        let origin = section.origin.clone();
        section.wrong("url", &origin, wrong.help(help));
    }
    url
}

fn remote_url(written: &str, allow_http: bool) -> Result<UpstreamUrl, Wrong> {
    const DEMAND: &str = "must be an address such as \"https://mcp.example.com/mcp\"";
    let parsed = Url::parse(written).map_err(|e| Wrong::new(DEMAND, e.to_string()))?;
    let url = UpstreamUrl::parse(written).ok_or_else(|| {
        Wrong::new(
            DEMAND,
            format!("this is {}: it has to be http(s)", parsed.scheme()),
        )
    })?;
    if written != written.trim() || written.contains(char::is_control) {
        return Err(Wrong::new(DEMAND, "there is blank space in it"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Wrong::new(
            "must not hold a user name or password",
            "credentials do not belong here",
        ));
    }
    if parsed.fragment().is_some() {
        return Err(Wrong::new(
            "must not have a fragment",
            "servers never see what follows #",
        ));
    }
    if parsed.scheme() == "http" && !is_loopback(&parsed) && !allow_http {
        let help = "write https, or allow_http = true if the network between is yours";
        let note = "tokens would cross the network in the clear";
        return Err(Wrong::new("must be https", note).help(help));
    }
    Ok(url)
}

/// Whether the address is on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// An address of an authorization server.
fn endpoint(node: &Node) -> Result<Url, Wrong> {
    const DEMAND: &str = "must be an address such as \"https://id.example.com\"";
    let written = text(node)?;
    let url = Url::parse(&written).map_err(|e| Wrong::new(DEMAND, e.to_string()))?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !web || url.fragment().is_some() {
        return Err(Wrong::new(DEMAND, "this is none"));
    }
    if url.scheme() == "https" || is_loopback(&url) {
        return Ok(url);
    }
    Err(Wrong::new(
        "must be https",
        "sign-ins would cross the network in the clear",
    ))
}

const ENDPOINT: Kind<'static, Url> = Kind {
    shape: "text",
    parse: &endpoint,
};

fn headers(section: &mut Section<'_>, variables: &Variables) -> Vec<(HeaderName, HeaderValue)> {
    const OURS: [&str; 9] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let mut all = Vec::new();
    for (key, origin, node) in section.pairs("headers") {
        let named: Result<HeaderName, _> = key.parse();
        let name = match named {
            Ok(name) if !OURS.contains(&name.as_str()) => name,
            Ok(_) => {
                let wrong = Wrong::new("cannot be set here", "doorward sets this field itself");
                section.wrong(&format!("headers.{key}"), origin, wrong);
                continue;
            }
            Err(_) => {
                let wrong = Wrong::new("is no name of a field", "letters, digits and dashes");
                section.wrong(&format!("headers.{key}"), origin, wrong);
                continue;
            }
        };
        let value = text(node).and_then(|written| {
            let full = expand(&written, variables)?;
            HeaderValue::from_str(&full)
                .map_err(|_| Wrong::new("must be visible ASCII", "this cannot be sent"))
        });
        match value {
            Ok(mut value) => {
                value.set_sensitive(true);
                all.push((name, value));
            }
            Err(wrong) => section.wrong(&format!("headers.{key}"), &node.origin, wrong),
        }
    }
    all
}

fn accounts(section: &mut Section<'_>) -> BTreeMap<AccountName, Account> {
    let mut accounts = BTreeMap::new();
    for (name, mut inner) in section.named::<AccountName>("accounts") {
        let account = Account {
            label: inner.optional("label", TEXT),
            scopes: inner.optional("scopes", LIST),
        };
        inner.finish();
        accounts.insert(name, account);
    }
    if accounts.is_empty() {
        accounts.insert(AccountName::default(), Account::default());
    }
    accounts
}

fn default_account(
    section: &mut Section<'_>,
    accounts: &BTreeMap<AccountName, Account>,
) -> AccountName {
    let kind = Kind {
        shape: "text",
        parse: &|node: &Node| {
            let name = text(node)?;
            let known = accounts.keys().find(|known| known.as_str() == name);
            let names: Vec<&str> = accounts.keys().map(AccountName::as_str).collect();
            let note = format!("there is {}", names.join(", "));
            known
                .cloned()
                .ok_or_else(|| Wrong::new("must name an account", note))
        },
    };
    let written = section.written("default_account").is_some();
    if let Some(name) = section.optional("default_account", kind) {
        return name;
    }
    let standard = AccountName::default();
    let first = accounts.keys().next().cloned().unwrap_or_default();
    if accounts.contains_key(&standard) {
        return standard;
    }
    if accounts.len() > 1 && !written {
        let wrong = Wrong::new(
            "is missing",
            "with several accounts, one has to be the usual one",
        );
        let help = format!(
            "write default_account = \"{first}\" below [{}]",
            section.path
        );
        let origin = section.origin.clone();
        section.wrong("default_account", &origin, wrong.help(help));
    }
    first
}

fn tls(mut section: Section<'_>, variables: &Variables) -> Tls {
    let path = Kind {
        shape: "text",
        parse: &|node: &Node| -> Result<PathBuf, Wrong> { file(&text(node)?, variables) },
    };
    let ca_file = section.optional("ca_file", path);
    let cert = section.optional("client_cert", path);
    let key = section.optional("client_key", path);
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientCertificate { cert, key }),
        (None, None) => None,
        (one, _) => {
            let written = if one.is_some() {
                "client_cert"
            } else {
                "client_key"
            };
            if let Some(origin) = section.written(written) {
                let wrong = Wrong::new("needs its counterpart", "certificate and key go together");
                section.wrong(written, origin, wrong);
            }
            None
        }
    };
    section.finish();
    Tls { ca_file, client }
}

#[derive(Clone, Copy)]
enum AuthKind {
    Oauth,
    None,
    Later(&'static str),
}

const AUTH_KIND: Kind<'static, AuthKind> = Kind {
    shape: "text",
    parse: &|node| {
        word(
            node,
            &[
                ("oauth", AuthKind::Oauth),
                ("none", AuthKind::None),
                ("client_credentials", AuthKind::Later("client_credentials")),
                ("static", AuthKind::Later("static")),
                ("exec", AuthKind::Later("exec")),
                ("passthrough", AuthKind::Later("passthrough")),
            ],
        )
    },
};

fn auth(mut section: Section<'_>, variables: &Variables, server: &Server) -> Option<Auth> {
    match section.read("kind", "oauth", AUTH_KIND) {
        AuthKind::None => {
            section.finish();
            Some(Auth::None)
        }
        AuthKind::Oauth => {
            let oauth = oauth(&mut section, variables, server);
            section.finish();
            Some(Auth::Oauth(Box::new(oauth)))
        }
        // The other keys of a kind that is not there are not worth a mistake each.
        AuthKind::Later(kind) => {
            let origin = section.written("kind").unwrap_or(&section.origin);
            let demand = format!("is \"{kind}\", which is not available in this version");
            let wrong = Wrong::new(demand, "this version has \"oauth\" and \"none\"");
            section.wrong("kind", origin, wrong);
            None
        }
    }
}

fn oauth(section: &mut Section<'_>, variables: &Variables, server: &Server) -> Oauth {
    let authorization = section.optional("authorization_endpoint", ENDPOINT);
    let token = section.optional("token_endpoint", ENDPOINT);
    let endpoints = both_or_neither(section, authorization, token);
    let client_id = section
        .optional("client_id", TEXT)
        .filter(|id| !id.is_empty());
    let client_secret = section.optional(
        "client_secret",
        Kind {
            shape: "a table",
            parse: &|node| secret(node, variables),
        },
    );
    let oauth = Oauth {
        scopes: section.optional("scopes", LIST),
        fallback_scopes: from_environment(section),
        resource: section.read("resource", "auto", RESOURCE),
        client_id,
        client_secret,
        client_auth: section.read("client_auth", "auto", CLIENT_AUTH),
        register: section.read("register", "auto", REGISTER),
        issuer: section.optional("issuer", ENDPOINT),
        endpoints,
        revocation_endpoint: section.optional("revocation_endpoint", ENDPOINT),
        redirect: section.read("redirect", "loopback", REDIRECT),
        extra_authorize: extra_authorize(section),
        probe_path: section.optional("probe_path", PROBE_PATH),
        legacy_2025_03_26: section.read("legacy_2025_03_26", "false", YES),
    };
    section.later("client_metadata_url");
    section.later("prefer_device_flow");
    agree(section, &oauth, server);
    oauth
}

/// Rules between several keys.
fn agree(section: &Section<'_>, oauth: &Oauth, server: &Server) {
    let complain = |key: &str, wrong: Wrong| {
        if let Some(origin) = section.written(key) {
            section.wrong(key, origin, wrong);
        }
    };
    if oauth.client_secret.is_some() && oauth.client_id.is_none() {
        let wrong = Wrong::new("needs a `client_id`", "a secret belongs to a client");
        complain("client_secret", wrong);
    }
    if oauth.register == Register::Never && oauth.client_id.is_none() {
        let note = "without registration, `client_id` is needed";
        complain("register", Wrong::new("leaves no client", note));
    }
    let confidential = matches!(
        oauth.client_auth,
        Some(ClientAuth::Basic | ClientAuth::Post)
    );
    if oauth.client_id.is_some() && confidential && oauth.client_secret.is_none() {
        let note = "this way of proving itself needs a `client_secret`";
        complain("client_auth", Wrong::new("does not fit", note));
    }
    if oauth.client_auth == Some(ClientAuth::None) && oauth.client_secret.is_some() {
        let note = "with \"none\", the `client_secret` would not be used";
        complain("client_auth", Wrong::new("does not fit", note));
    }
    if oauth.redirect == Redirect::Public && server.public_base_url.is_none() {
        let note = "`server.public_base_url` is not set";
        complain("redirect", Wrong::new("has no address", note));
    }
}

fn both_or_neither(
    section: &Section<'_>,
    authorization: Option<Url>,
    token: Option<Url>,
) -> Option<Endpoints> {
    let one = match (
        section.written("authorization_endpoint"),
        section.written("token_endpoint"),
    ) {
        (Some(origin), None) => Some(("authorization_endpoint", origin, "token_endpoint")),
        (None, Some(origin)) => Some(("token_endpoint", origin, "authorization_endpoint")),
        _ => None,
    };
    if let Some((key, origin, other)) = one {
        let wrong = Wrong::new("needs its counterpart", format!("`{other}` is not set"));
        section.wrong(key, origin, wrong);
    }
    Some(Endpoints {
        authorization: authorization?,
        token: token?,
    })
}

/// The scopes to fall back to: for an upstream that came from variables alone.
fn from_environment(section: &Section<'_>) -> Vec<String> {
    match section.origin {
        Origin::Variable(_) => FALLBACK_SCOPES.map(str::to_owned).into(),
        _ => Vec::new(),
    }
}

fn extra_authorize(section: &mut Section<'_>) -> BTreeMap<String, String> {
    // Those that make the sign-in safe, or that other keys set.
    const OURS: [&str; 9] = [
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "resource",
        "response_type",
        "scope",
        "state",
    ];
    let mut extra = BTreeMap::new();
    for (name, origin, node) in section.pairs("extra_authorize") {
        let full = format!("extra_authorize.{name}");
        if OURS.contains(&name) {
            let wrong = Wrong::new("cannot be set here", "doorward sets this parameter itself");
            section.wrong(&full, origin, wrong);
            continue;
        }
        match text(node) {
            Ok(value) => {
                extra.insert(name.to_owned(), value);
            }
            Err(wrong) => section.wrong(&full, &node.origin, wrong),
        }
    }
    extra
}

fn secret(node: &Node, variables: &Variables) -> Result<SecretSource, Wrong> {
    const HELP: &str = "write { env = \"VARIABLE\" } or { file = \"~/path\" }";
    let Value::Table(table) = &node.value else {
        let demand = "must say where the secret is, not what it is";
        return Err(Wrong::new(demand, "secrets are never written here").help(HELP));
    };
    let [item] = table.0.as_slice() else {
        return Err(Wrong::new("must say one place", "this says none or several").help(HELP));
    };
    let written = text(&item.node)?;
    match item.name.as_str() {
        "env" => Ok(SecretSource::Variable(written)),
        "file" => file(&written, variables).map(SecretSource::File),
        "keyring" | "exec" => {
            let missing = format!("this version does not have `{}`", item.name);
            Err(Wrong::new("must be kept elsewhere", missing).help(HELP))
        }
        other => {
            let unknown = format!("`{other}` is no place");
            Err(Wrong::new("must say where the secret is", unknown).help(HELP))
        }
    }
}

const RESOURCE: Kind<'static, Resource> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        match written.as_str() {
            "auto" => Ok(Resource::Auto),
            "off" => Ok(Resource::Off),
            _ => match Url::parse(&written) {
                Ok(url) if url.fragment().is_none() => Ok(Resource::Value(written)),
                _ => Err(Wrong::new(
                    "must be \"auto\", \"off\" or an absolute URI",
                    "this is none",
                )),
            },
        }
    },
};

const CLIENT_AUTH: Kind<'static, Option<ClientAuth>> = Kind {
    shape: "text",
    parse: &|node| {
        let words = [
            ("auto", None),
            ("none", Some(ClientAuth::None)),
            ("basic", Some(ClientAuth::Basic)),
            ("post", Some(ClientAuth::Post)),
        ];
        not_yet(node, &["private_key_jwt"])?;
        word(node, &words)
    },
};

const REGISTER: Kind<'static, Register> = Kind {
    shape: "text",
    parse: &|node| {
        let words = [
            ("auto", Register::Auto),
            ("dynamic", Register::Dynamic),
            ("never", Register::Never),
        ];
        not_yet(node, &["metadata-document"])?;
        word(node, &words)
    },
};

const REDIRECT: Kind<'static, Redirect> = Kind {
    shape: "text",
    parse: &|node| {
        let words = [
            ("loopback", Redirect::Loopback),
            ("public", Redirect::Public),
        ];
        not_yet(node, &["ephemeral"])?;
        word(node, &words)
    },
};

const PROBE_PATH: Kind<'static, String> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        if written.is_empty() || written.starts_with('/') {
            return Ok(written);
        }
        Err(Wrong::new("must begin with /", "this is no path"))
    },
};

/// Refuses words that are known and cannot be used yet.
fn not_yet(node: &Node, words: &[&str]) -> Result<(), Wrong> {
    match &node.value {
        Value::Text(word) if words.contains(&word.as_str()) => Err(Wrong::new(
            "must have another value",
            format!("\"{word}\" is not available in this version"),
        )),
        _ => Ok(()),
    }
}
