//! Variables of the environment and flags, laid over what the file says: a flag wins over a
//! variable, a variable over the file, the file over the default.

use super::raw::{Item, Node, Origin, Table, Value};
use super::read::{Report, Variables, Wrong};
use super::{Flags, Mistake, Place};
use crate::model::catalogue::Code;

/// The prefix of variables that can set any key.
const ANY_KEY: &str = "DOORWARD__";

/// The variables that have a meaning of their own, and the keys they stand for.
const SERVER: [(&str, &[&str]); 5] = [
    ("PORT", &["server", "port"]),
    ("BIND", &["server", "bind"]),
    ("PUBLIC_BASE_URL", &["server", "public_base_url"]),
    ("REDIRECT_PATH", &["server", "redirect_path"]),
    ("KEYCHAIN_SERVICE", &["store", "service"]),
];

/// Those that describe the upstream of `UPSTREAM_MCP_URL`, below its `auth`.
const UPSTREAM: [(&str, &str); 6] = [
    ("SCOPES", "scopes"),
    ("PROBE_PATH", "probe_path"),
    ("AUTHORIZATION_ENDPOINT", "authorization_endpoint"),
    ("TOKEN_ENDPOINT", "token_endpoint"),
    ("ISSUER", "issuer"),
    ("CLIENT_ID", "client_id"),
];

/// Lays variables and flags over `tree`. Returns whether every upstream there is came from
/// `UPSTREAM_MCP_URL`.
pub(super) fn overlay(
    tree: &mut Table,
    variables: &Variables,
    flags: &Flags,
    report: &Report,
) -> bool {
    let from_file = tree.table("upstreams").map_or(0, |all| all.0.len());
    let set = |name: &str| variables.get(name).filter(|value| !value.trim().is_empty());
    for (name, path) in SERVER {
        if let Some(text) = set(name) {
            put(tree, path, name, text);
        }
    }
    if let Some(url) = set("UPSTREAM_MCP_URL") {
        put(tree, &["default_upstream"], "UPSTREAM_MCP_URL", "default");
        put_auth_origin(tree);
        put(
            tree,
            &["upstreams", "default", "url"],
            "UPSTREAM_MCP_URL",
            url,
        );
        for (name, key) in UPSTREAM {
            if let Some(text) = set(name) {
                put(tree, &["upstreams", "default", "auth", key], name, text);
            }
        }
        if set("CLIENT_SECRET").is_some() {
            put_client_secret(tree);
        }
        if let Some(text) = set("AUTO_REGISTER_CLIENT") {
            auto_register(tree, text, report);
        }
        if from_file > 0 {
            let warning = "UPSTREAM_MCP_URL is set and the config has upstreams: all are served";
            report.warnings.borrow_mut().push(warning.to_owned());
        }
    }
    let environment_only = from_file == 0 && set("UPSTREAM_MCP_URL").is_some();
    for (name, text) in variables {
        if let Some(path) = name.strip_prefix(ANY_KEY) {
            any_key(tree, name, path, text, report);
        }
    }
    put_flags(tree, flags);
    environment_only
}

fn put(tree: &mut Table, path: &[&str], variable: &str, text: &str) {
    let origin = Origin::Variable(variable.to_owned());
    tree.set(path, &origin, Value::Text(text.to_owned()));
}

/// Marks the sign-in of the variable's upstream as coming from the variable.
fn put_auth_origin(tree: &mut Table) {
    let origin = Origin::Variable("UPSTREAM_MCP_URL".to_owned());
    let path = ["upstreams", "default", "auth", "kind"];
    let written = tree
        .table("upstreams")
        .and_then(|all| all.table("default"))
        .is_some_and(|upstream| upstream.find("auth").is_some());
    if !written {
        tree.set(&path, &origin, Value::Text("oauth".to_owned()));
    }
}

fn put_client_secret(tree: &mut Table) {
    let origin = Origin::Variable("CLIENT_SECRET".to_owned());
    let place = Item {
        name: "env".to_owned(),
        key: origin.clone(),
        node: Node::loose("CLIENT_SECRET", origin.clone()),
    };
    let path = ["upstreams", "default", "auth", "client_secret"];
    tree.set(&path, &origin, Value::Table(Table(vec![place])));
}

fn auto_register(tree: &mut Table, text: &str, report: &Report) {
    const NAME: &str = "AUTO_REGISTER_CLIENT";
    let path = ["upstreams", "default", "auth", "register"];
    match text.trim().to_ascii_lowercase().as_str() {
        "false" | "0" | "no" | "off" => put(tree, &path, NAME, "never"),
        "true" | "1" | "yes" | "on" => put(tree, &path, NAME, "auto"),
        _ => report.mistake(
            &Origin::Variable(NAME.to_owned()),
            format!("`{NAME}` must be true or false"),
            Wrong::new("", "this is neither"),
        ),
    }
}

/// `DOORWARD__SECTION__KEY`: keys in lower case, and names of upstreams with `_` for `-`.
fn any_key(tree: &mut Table, variable: &str, path: &str, text: &str, report: &Report) {
    let lower = path.to_ascii_lowercase();
    let mut keys: Vec<String> = lower.split("__").map(str::to_owned).collect();
    if keys.iter().any(String::is_empty) {
        report.mistakes.borrow_mut().push(Mistake {
            place: Place::Variable(variable.to_owned()),
            message: format!("`{variable}` names no key"),
            note: "it has to look like DOORWARD__SESSIONS__TTL".to_owned(),
            help: None,
            code: Code::ConfigInvalid,
        });
        return;
    }
    if keys[0] == "upstreams" {
        let names = [1, 3]
            .into_iter()
            .filter(|at| *at == 1 || keys.get(2).is_some_and(|k| k == "accounts"));
        for at in names.collect::<Vec<_>>() {
            if let Some(name) = keys.get_mut(at) {
                *name = name.replace('_', "-");
            }
        }
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    put(tree, &keys, variable, text);
}

fn put_flags(tree: &mut Table, flags: &Flags) {
    let text = |text: String| Value::Text(text);
    if let Some(bind) = flags.bind {
        let path = ["server", "bind"];
        tree.set(&path, &Origin::Flag("--bind"), text(bind.to_string()));
    }
    if let Some(port) = flags.port {
        let path = ["server", "port"];
        tree.set(&path, &Origin::Flag("--port"), text(port.to_string()));
    }
    for (name, url) in &flags.upstreams {
        let path = ["upstreams", name.as_str(), "url"];
        tree.set(&path, &Origin::Flag("--upstream"), text(url.clone()));
    }
}
