//! Agent programs, and how each is told of doorward's servers for one run: more arguments and more
//! variables, and never a file. The credential is in none of them: they name the variable that
//! holds it.

use std::ffi::OsString;

use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// Where the credential is.
const VARIABLE: &str = "DOORWARD_SESSION";
/// The configuration of `OpenCode` as text.
const OPENCODE: &str = "OPENCODE_CONFIG_CONTENT";

/// An agent program that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// `OpenCode`.
    OpenCode,
}

/// A server as agents see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it is called there.
    pub name: String,
    /// Its address here.
    pub url: String,
}

/// What tells an agent program of the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injection {
    /// Arguments that go before those of the person.
    pub arguments: Vec<OsString>,
    /// Variables beside those that every agent gets.
    pub variables: Vec<(&'static str, OsString)>,
}

/// Why an agent program cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// Somebody has set its variable to something that nothing can be added to.
    #[error("{OPENCODE} is set, and it is no JSON object")]
    Unreadable,
}

impl Agent {
    /// The agent program of this name.
    pub fn of(client: &str) -> Option<Self> {
        match client {
            "claude" => Some(Self::Claude),
            "codex" => Some(Self::Codex),
            "opencode" => Some(Self::OpenCode),
            _ => None,
        }
    }

    /// What tells it of `servers`. `only`: and of no others, where it can be told that.
    /// `set` is what a variable holds already.
    pub fn told_of(
        self,
        servers: &[Server],
        only: bool,
        set: impl Fn(&str) -> Option<String>,
    ) -> Result<Injection, NotTold> {
        let mut injection = Injection::default();
        match self {
            Self::Claude => injection.arguments = claude(servers, only),
            Self::Codex => injection.arguments = codex(servers),
            Self::OpenCode => {
                let text = opencode(servers, set(OPENCODE).as_deref())?;
                injection.variables.push((OPENCODE, text.into()));
            }
        }
        Ok(injection)
    }
}

/// One word with its value: the flag alone takes every word that follows, a prompt too.
fn claude(servers: &[Server], only: bool) -> Vec<OsString> {
    let entry = |server: &Server| {
        let bearer = format!("Bearer ${{{VARIABLE}}}");
        let entry = json!({
            "type": "http", "url": server.url, "headers": {"Authorization": bearer},
        });
        (server.name.clone(), entry)
    };
    let entries: Map<String, Value> = servers.iter().map(entry).collect();
    let config = json!({ "mcpServers": entries });
    let mut arguments = vec![format!("--mcp-config={config}").into()];
    if only {
        arguments.push("--strict-mcp-config".into());
    }
    arguments
}

/// Values are TOML, in which a string of such letters is written as in JSON.
fn codex(servers: &[Server]) -> Vec<OsString> {
    let settings = |server: &Server| {
        let at = format!("mcp_servers.{}", server.name);
        let url = Value::from(server.url.as_str());
        [
            "-c".into(),
            format!("{at}.url={url}").into(),
            "-c".into(),
            format!("{at}.bearer_token_env_var=\"{VARIABLE}\"").into(),
        ]
    };
    servers.iter().flat_map(settings).collect()
}

/// The entries beside what is set already; an entry of the same name is replaced.
fn opencode(servers: &[Server], set: Option<&str>) -> Result<String, NotTold> {
    let mut config: Map<String, Value> = match set.filter(|text| !text.trim().is_empty()) {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| NotTold::Unreadable)?,
    };
    let known = config.entry("mcp").or_insert_with(|| json!({}));
    let known = known.as_object_mut().ok_or(NotTold::Unreadable)?;
    for server in servers {
        let bearer = format!("Bearer {{env:{VARIABLE}}}");
        let entry = json!({
            "type": "remote", "url": server.url, "oauth": false, "enabled": true,
            "headers": {"Authorization": bearer},
        });
        known.insert(server.name.clone(), entry);
    }
    Ok(Value::Object(config).to_string())
}
