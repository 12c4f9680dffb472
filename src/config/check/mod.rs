//! From what was written to what is meant: every section is read, every rule is checked, and all
//! that is wrong is noted.

mod upstream;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::mistake::Mistake;
use super::raw::{Origin, Table, Value};
use super::read::{
    ATTEMPTS, COUNT, DURATION, Kind, LIMIT, LIST, PORT, Report, SHARE, SIZE, Section, TEXT,
    Variables, Wrong, YES, expand, place, text, word,
};
use super::types::{
    Browser, Compat, Config, Log, LogFormat, Login, LoginErrorForm, Refresh, Server, Sessions,
    Store, Upstream,
};
use crate::model::catalogue::Code;
use crate::model::id::{AccountRef, UpstreamName};
use crate::model::record::StoreKind;
use crate::model::session::{Grant, SessionPolicy};
use crate::model::time::brief;
use crate::model::token::TokenPolicy;

/// Reads the whole tree. What is returned is good only if no mistake was noted.
pub(super) fn config(
    tree: &Table,
    variables: &Variables,
    environment_only: bool,
    report: &Report,
) -> Config {
    let mut top = Section::new(String::new(), Origin::Default, tree, report);
    top.read("version", "1", VERSION);
    let mut config = Config {
        environment_only,
        server: server(top.table("server")),
        store: store(top.table("store"), variables),
        refresh: refresh(top.table("refresh")),
        login: login(top.table("login")),
        log: log(top.table("log")),
        compat: compat(top.table("compat")),
        ..Config::default()
    };
    let defaults = upstream::defaults(top.table("defaults"));
    for (name, section) in top.named::<UpstreamName>("upstreams") {
        let read = upstream::upstream(&name, section, &defaults, variables, &config.server);
        if let Some(upstream) = read {
            config.upstreams.insert(name, Arc::new(upstream));
        }
    }
    config.sessions = sessions(top.table("sessions"), &config.upstreams, environment_only);
    config.default_upstream = default_upstream(&mut top, tree, &config.upstreams);
    top.later("clients");
    top.finish();
    config
}

const VERSION: Kind<'static, ()> = Kind {
    shape: "a number",
    parse: &|node| match (&node.value, node.loose_text()) {
        (Value::Integer(1), _) | (_, Some("1")) => Ok(()),
        _ => Err(Wrong::new("must be 1", "this version knows no other")),
    },
};

fn default_upstream(
    top: &mut Section<'_>,
    tree: &Table,
    known: &BTreeMap<UpstreamName, Arc<Upstream>>,
) -> Option<UpstreamName> {
    let name = top.read("default_upstream", "", TEXT);
    if name.is_empty() {
        return None;
    }
    // An upstream that is written and wrong has been reported already.
    let written = tree
        .table("upstreams")
        .is_some_and(|all| all.find(&name).is_some());
    let found = known.keys().find(|upstream| upstream.as_str() == name);
    if found.is_none() && !written {
        let names: Vec<&str> = known.keys().map(UpstreamName::as_str).collect();
        let note = match crate::model::nearest::nearest(&name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "there is no such upstream".to_owned(),
        };
        if let Some(origin) = top.written("default_upstream") {
            top.wrong(
                "default_upstream",
                origin,
                Wrong::new("must name an upstream", note),
            );
        }
    }
    found.cloned()
}

fn server(mut section: Section<'_>) -> Server {
    let bind = section.read("bind", "127.0.0.1", ADDRESS);
    if !bind.is_loopback() {
        refuse_remote(&section, bind);
    }
    let mut server = Server {
        bind,
        port: section.read("port", "5177", PORT),
        public_base_url: section.read("public_base_url", "", BASE_URL),
        redirect_path: section.read("redirect_path", "/oauth/callback", REDIRECT_PATH),
        allowed_hosts: section.read("allowed_hosts", "127.0.0.1, localhost, [::1]", HOSTS),
        allowed_origins: section.read("allowed_origins", "", ORIGINS),
        drain: section.read("drain", "10s", DURATION),
        max_body: section.read("max_body", "16MiB", SIZE),
    };
    let public = server.public_base_url.as_deref().map(Url::parse);
    if let Some(Ok(url)) = public {
        allow(
            &mut server.allowed_hosts,
            url.host_str().unwrap_or_default(),
        );
    }
    let own = match bind {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    allow(&mut server.allowed_hosts, &own);
    for key in [
        "socket",
        "allow_remote",
        "tls",
        "dashboard",
        "metrics",
        "metrics_open",
    ] {
        section.later(key);
    }
    section.finish();
    server
}

fn allow(hosts: &mut Vec<String>, host: &str) {
    let host = host.to_ascii_lowercase();
    if !host.is_empty() && !hosts.contains(&host) {
        hosts.push(host);
    }
}

fn refuse_remote(section: &Section<'_>, bind: IpAddr) {
    let origin = section.written("bind").unwrap_or(&section.origin);
    section.report.mistakes.borrow_mut().push(Mistake {
        place: place(origin),
        message: bind.to_string(),
        note: "anyone on the network could use your sign-ins".to_owned(),
        help: Some("bind to 127.0.0.1, and use an ssh tunnel from other machines".to_owned()),
        code: Code::RemoteBindRefused,
    });
}

const ADDRESS: Kind<'static, IpAddr> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        let bare = written.trim_start_matches('[').trim_end_matches(']');
        let address = if bare == "localhost" {
            "127.0.0.1"
        } else {
            bare
        };
        address.parse().map_err(|_| {
            Wrong::new(
                "must be an IP address such as \"127.0.0.1\"",
                "this is none",
            )
        })
    },
};

const BASE_URL: Kind<'static, Option<String>> = Kind {
    shape: "text",
    parse: &|node| {
        const DEMAND: &str = "must be an address such as \"https://mcp.example.com\"";
        let written = text(node)?;
        if written.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&written).map_err(|e| Wrong::new(DEMAND, e.to_string()))?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty();
        if plain {
            return Ok(Some(written.trim_end_matches('/').to_owned()));
        }
        Err(Wrong::new(DEMAND, "scheme, host and port only"))
    },
};

const REDIRECT_PATH: Kind<'static, String> = Kind {
    shape: "text",
    parse: &|node| {
        const DEMAND: &str = "must be a path such as \"/oauth/callback\"";
        let written = text(node)?;
        let taken = ["/u/", "/api/", "/login/", "/mcp/", "/.well-known/"];
        let exact = [
            "/",
            "/u",
            "/mcp",
            "/health",
            "/ready",
            "/oauth/login",
            "/oauth/status",
        ];
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'{' | b'}');
        if !written.starts_with('/') || !written.bytes().all(plain) {
            return Err(Wrong::new(DEMAND, "it begins with / and has no ? or #"));
        }
        let reserved = taken.iter().any(|prefix| written.starts_with(prefix))
            || exact.contains(&written.as_str());
        if reserved {
            return Err(Wrong::new(DEMAND, "this one has another use"));
        }
        Ok(written)
    },
};

const HOSTS: Kind<'static, Vec<String>> = Kind {
    shape: "an array",
    parse: &|node| {
        let mut hosts = (LIST.parse)(node)?;
        for host in &mut hosts {
            host.make_ascii_lowercase();
            let ported = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.ends_with(']'));
            if host.is_empty() || host.contains(['/', '*', ' ']) || ported {
                let note = format!("\"{host}\" is more or less than a host name");
                return Err(Wrong::new("must list host names without ports", note));
            }
        }
        Ok(hosts)
    },
};

const ORIGINS: Kind<'static, Vec<String>> = Kind {
    shape: "an array",
    parse: &|node| {
        let origins = (LIST.parse)(node)?;
        for origin in &origins {
            let url = Url::parse(origin).ok();
            if url.is_none_or(|url| url.origin().ascii_serialization() != *origin) {
                let note = format!("\"{origin}\" is none");
                let demand = "must list origins such as \"http://localhost:3000\"";
                return Err(Wrong::new(demand, note));
            }
        }
        Ok(origins)
    },
};

fn store(mut section: Section<'_>, variables: &Variables) -> Store {
    #[derive(Clone, Copy)]
    enum Word {
        Auto,
        Keyring,
        File,
        Memory,
    }
    let kind = section.read(
        "kind",
        "auto",
        Kind {
            shape: "text",
            parse: &|node| {
                word(
                    node,
                    &[
                        ("auto", Word::Auto),
                        ("keyring", Word::Keyring),
                        ("keychain", Word::Keyring),
                        ("secret-service", Word::Keyring),
                        ("file", Word::File),
                        ("memory", Word::Memory),
                    ],
                )
            },
        },
    );
    let path = section.optional(
        "path",
        Kind {
            shape: "text",
            parse: &|node| file(&text(node)?, variables),
        },
    );
    if path.is_some()
        && !matches!(kind, Word::File)
        && let Some(origin) = section.written("path")
    {
        let wrong = Wrong::new("has no effect", "only `kind = \"file\"` uses it");
        section.wrong("path", origin, wrong);
    }
    let service = section.read("service", "doorward", TEXT);
    section.later("file");
    section.finish();
    Store {
        kind: match kind {
            Word::Auto => StoreKind::Auto,
            Word::Keyring => StoreKind::Keyring,
            Word::File => StoreKind::File(path),
            Word::Memory => StoreKind::Memory,
        },
        service,
    }
}

/// A path, with `~` and `${VAR}` replaced.
fn file(written: &str, variables: &Variables) -> Result<PathBuf, Wrong> {
    let full = expand(written, variables)?;
    let full = match full.strip_prefix("~/") {
        None => PathBuf::from(full),
        Some(rest) => {
            let home = variables.get("HOME").filter(|home| !home.is_empty());
            let home = home.ok_or_else(|| Wrong::new("begins with ~", "HOME is not set"))?;
            PathBuf::from(home).join(rest)
        }
    };
    if full.is_absolute() {
        return Ok(full);
    }
    Err(Wrong::new(
        "must be an absolute path, or one that begins with ~/",
        "this is relative",
    ))
}

fn sessions(
    mut section: Section<'_>,
    upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
    environment_only: bool,
) -> Sessions {
    let require = section.read(
        "require",
        if environment_only { "false" } else { "true" },
        YES,
    );
    if !require {
        section.report.warnings.borrow_mut().push(
            "any program on this machine can use the upstreams: set \
             DOORWARD__SESSIONS__REQUIRE=true to ask for credentials"
                .to_owned(),
        );
    }
    let policy = SessionPolicy {
        ttl: section.read("ttl", "30d", DURATION),
        idle: section.read("idle", "24h", DURATION),
        max_age: section.read("max_age", "off", LIMIT),
    };
    if policy.idle > policy.ttl
        && let Some(origin) = section.written("idle")
    {
        let note = format!(
            "{} is longer than `ttl`, {}",
            brief(policy.idle, 2),
            brief(policy.ttl, 2)
        );
        let help =
            "an unused session ends at `ttl` whatever `idle` says; raise `ttl` or lower `idle`";
        let wrong = Wrong::new("must not be longer than `ttl`", note).help(help);
        section.wrong("idle", origin, wrong);
    }
    for (key, length) in [("ttl", policy.ttl), ("idle", policy.idle)] {
        if length.as_secs() == 0
            && let Some(origin) = section.written(key)
        {
            let wrong = Wrong::new("must be at least a second", "no session could live");
            section.wrong(key, origin, wrong);
        }
    }
    let sessions = Sessions {
        require,
        policy,
        persist: section.read("persist", "true", YES),
        max: section.read("max", "256", COUNT),
        default_grant: section.read(
            "default_grant",
            "all",
            Kind {
                shape: "text",
                parse: &|node| match &node.value {
                    Value::Text(all) if all == "all" => Ok(Grant::All),
                    Value::Text(_) if node.loose_text().is_none() => Err(Wrong::new(
                        "must be \"all\" or an array of upstreams",
                        "this is neither",
                    )),
                    _ => grant(&(LIST.parse)(node)?, upstreams),
                },
            },
        ),
        revoke_on_exit: section.read("revoke_on_exit", "true", YES),
        keep_ended: section.read("keep_ended", "7d", DURATION),
    };
    section.later("approve");
    section.finish();
    sessions
}

fn grant(
    names: &[String],
    upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
) -> Result<Grant, Wrong> {
    let mut accounts = Vec::new();
    for name in names {
        let unknown = || Wrong::new("must list upstreams", format!("there is no \"{name}\""));
        let (bare, account) = match name.split_once('@') {
            None => (name.as_str(), None),
            Some((bare, account)) => (bare, Some(account)),
        };
        let found = upstreams
            .iter()
            .find(|(upstream, _)| upstream.as_str() == bare);
        let (_, upstream) = found.ok_or_else(unknown)?;
        let account = match account {
            None => upstream.default_account.clone(),
            Some(account) => {
                let known = upstream
                    .accounts
                    .keys()
                    .find(|known| known.as_str() == account);
                known.ok_or_else(unknown)?.clone()
            }
        };
        accounts.push(AccountRef {
            upstream: upstream.name.clone(),
            account,
        });
    }
    Ok(Grant::Only(accounts))
}

fn refresh(mut section: Section<'_>) -> Refresh {
    let policy = TokenPolicy {
        ahead: section.read("ahead", "20%", SHARE),
        ahead_min: section.read("ahead_min", "60s", DURATION),
        ahead_max: section.read("ahead_max", "10m", DURATION),
    };
    if policy.ahead_min > policy.ahead_max {
        let key = if section.written("ahead_min").is_some() {
            "ahead_min"
        } else {
            "ahead_max"
        };
        if let Some(origin) = section.written(key) {
            let wrong = Wrong::new(
                "contradicts its counterpart",
                "`ahead_min` is the longer one",
            );
            section.wrong(key, origin, wrong);
        }
    }
    let mut retry = section.table("retry");
    let refresh = Refresh {
        policy,
        attempts: retry.read("attempts", "5", ATTEMPTS),
        retry_base: retry.read("base", "500ms", DURATION),
        retry_max: retry.read("max", "30s", DURATION),
        on_resume: section.read("on_resume", "true", YES),
    };
    retry.finish();
    section.finish();
    refresh
}

fn login(mut section: Section<'_>) -> Login {
    let login = Login {
        hold: section.read("hold", "45s", LIMIT).unwrap_or_default(),
        window: section.read("window", "5m", DURATION),
        browser: section.read(
            "browser",
            "default",
            Kind {
                shape: "text",
                parse: &|node| {
                    Ok(match text(node)? {
                        word if word == "default" => Browser::Default,
                        word if word == "none" => Browser::None,
                        command if command.trim().is_empty() => Browser::Default,
                        command => Browser::Command(command),
                    })
                },
            },
        ),
    };
    section.later("notify");
    section.later("open_from_daemon");
    section.finish();
    login
}

fn log(mut section: Section<'_>) -> Log {
    let log = Log {
        level: section.read("level", "info", TEXT),
        format: section.read(
            "format",
            "auto",
            Kind {
                shape: "text",
                parse: &|node| {
                    word(
                        node,
                        &[
                            ("auto", LogFormat::Auto),
                            ("text", LogFormat::Text),
                            ("json", LogFormat::Json),
                        ],
                    )
                },
            },
        ),
    };
    section.later("file");
    section.later("calls");
    section.finish();
    log
}

fn compat(mut section: Section<'_>) -> Compat {
    let compat = Compat {
        root_proxy: section.read("root_proxy", "true", YES),
        upstream_login_error: section.read(
            "upstream_login_error",
            "jsonrpc",
            Kind {
                shape: "text",
                parse: &|node| {
                    word(
                        node,
                        &[
                            ("jsonrpc", LoginErrorForm::JsonRpc),
                            ("http", LoginErrorForm::Http),
                        ],
                    )
                },
            },
        ),
    };
    section.finish();
    compat
}
