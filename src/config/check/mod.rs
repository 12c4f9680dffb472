//! From what was written to what is meant: every section is read, every rule is checked, and all
//! that is wrong is noted.

mod client;
mod oauth;
mod own;
mod proxy;
mod redirect;
mod secret;
mod server;
mod sessions;
mod unattended;
mod upstream;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::kinds::{
    ATTEMPTS, DURATION, Kind, LIMIT, SHARE, TEXT, Variables, YES, expand, text, word,
};
use crate::config::raw::{Origin, Table, Value};
use crate::config::read::{Report, Section, Wrong};
use crate::config::{
    Browser, Compat, Config, Log, LogFormat, Login, LoginErrorForm, Refresh, Store, Upstream,
};
use crate::model::id::UpstreamName;
use crate::model::nearest::nearest;
use crate::model::record::StoreKind;
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
        server: server::server(top.table("server")),
        store: store(top.table("store"), variables),
        refresh: refresh(top.table("refresh")),
        login: login(top.table("login")),
        log: log(top.table("log")),
        compat: compat(top.table("compat")),
        ..Config::default()
    };
    let defaults = upstream::defaults(top.table("defaults"), variables);
    for (name, section) in top.named::<UpstreamName>("upstreams") {
        let read = upstream::upstream(&name, section, &defaults, variables, &config.server);
        if let Some(upstream) = read {
            config.upstreams.insert(name, Arc::new(upstream));
        }
    }
    config.sessions =
        sessions::sessions(top.table("sessions"), &config.upstreams, environment_only);
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
        let note = match nearest(&name, names.iter().copied()) {
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
        notify: section.read("notify", "true", YES),
    };
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
                            ("elicitation", LoginErrorForm::Elicitation),
                        ],
                    )
                },
            },
        ),
    };
    section.finish();
    compat
}
