//! The sections of one upstream: its address, its limits, and how doorward signs in to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::{Host, Url};

use super::proxy::proxy;
use super::{file, oauth, proxy};
use crate::config::kinds::{COUNT, DURATION, Kind, LIST, TEXT, Variables, YES, expand, text, word};
use crate::config::raw::{Node, Origin};
use crate::config::read::{Section, Wrong};
use crate::config::{
    Account, Auth, ClientCertificate, KeepAlive, Proxy, Server, Tls, Transport, Upstream,
    UpstreamUrl, UserAgent,
};
use crate::model::id::{AccountName, UpstreamName};

/// What upstreams inherit.
pub(super) struct Defaults {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    concurrency: usize,
    user_agent: UserAgent,
    via: bool,
    keep_alive: KeepAlive,
    proxy: Proxy,
}

const KEEP_ALIVE: Kind<'static, KeepAlive> = Kind {
    shape: "text",
    parse: &|node| word(node, &[("auto", KeepAlive::Auto), ("off", KeepAlive::Off)]),
};

const TRANSPORT: Kind<'static, Transport> = Kind {
    shape: "text",
    parse: &|node| {
        word(
            node,
            &[
                ("streamable", Transport::Streamable),
                ("sse", Transport::Sse),
            ],
        )
    },
};

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

pub(super) fn defaults(mut section: Section<'_>, variables: &Variables) -> Defaults {
    let way = Kind {
        shape: "text",
        parse: &|node: &Node| proxy(node, variables),
    };
    if section.written("proxy").is_none()
        && let Some((name, wrong)) = proxy::variable(variables)
    {
        let origin = Origin::Variable(name.to_owned());
        section.wrong("proxy", &origin, wrong);
    }
    let defaults = Defaults {
        connect: section.read("connect_timeout", "5s", DURATION),
        first_byte: section.read("first_byte_timeout", "60s", DURATION),
        idle: section.read("idle_timeout", "10m", DURATION),
        concurrency: section.read("max_concurrency", "64", COUNT),
        user_agent: section.read("user_agent", "append", USER_AGENT),
        via: section.read("via", "true", YES),
        keep_alive: section.read("keep_alive", "auto", KEEP_ALIVE),
        proxy: section.read("proxy", "env", way),
    };
    section.later("forward_headers");
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
    let url_is_plain = url.as_ref().is_some_and(|url| url.url().scheme() == "http");
    let auth = oauth::auth(section.table("auth"), variables, server);
    let usable = auth.is_some();
    let accounts = accounts(&mut section);
    let default_account = default_account(&mut section, &accounts);
    let way = Kind {
        shape: "text",
        parse: &|node: &Node| proxy(node, variables),
    };
    for key in ["tools", "forward_headers"] {
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
        keep_alive: section.inherited("keep_alive", &defaults.keep_alive, KEEP_ALIVE),
        transport: section.read("transport", "streamable", TRANSPORT),
        http2: http2(&mut section, url_is_plain),
        tls: tls(section.table("tls"), variables),
        proxy: section.inherited("proxy", &defaults.proxy, way),
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

/// HTTP/2 is agreed on in the TLS handshake (RFC 9113 §3.2).
fn http2(section: &mut Section<'_>, url_is_plain: bool) -> bool {
    let wanted = section.read("http2", "false", YES);
    if wanted
        && url_is_plain
        && let Some(origin) = section.written("http2")
    {
        let wrong = Wrong::new("needs https", "it is agreed on in the TLS handshake");
        section.wrong("http2", origin, wrong);
    }
    wanted
}

/// Whether the address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

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
