//! Agent programs, and how each is told of doorward's servers for one run: more arguments, more
//! variables, and where a program takes neither, a file of ours that it is pointed to; never a
//! file of the person's. The credential is in none of them: they name the variable that holds it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::model::in_band::{FIELD, IN_RESULTS};

mod gemini;
mod goose;
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
    /// Gemini CLI.
    Gemini,
    /// goose.
    Goose,
}

/// A server as agents see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it is called there.
    pub name: String,
    /// Its account, as people write it: what `doorward bridge` is given.
    pub reference: String,
    /// Its address here.
    pub url: String,
}

/// What an agent program is about to be started with, and what there is to tell it with.
pub struct Surroundings<'a> {
    /// Whether it shall know no other servers, where it can be told that.
    pub only: bool,
    /// What the person gave it.
    pub arguments: &'a [OsString],
    /// What a variable holds already.
    pub set: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a file is there.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// Where files of ours may be put.
    pub folder: &'a Path,
    /// Whether that folder and all above it are root's, and nobody else may write there.
    pub of_root: bool,
    /// This program.
    pub program: &'a Path,
    /// The flags with which another command of it means the same daemon.
    pub same_daemon: &'a [OsString],
}

/// What tells an agent program of the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injection {
    /// Arguments beside those of the person.
    pub arguments: Vec<OsString>,
    /// How many of the person's go before them.
    pub behind: usize,
    /// Variables beside those that every agent gets.
    pub variables: Vec<(&'static str, OsString)>,
    /// What has to be in the folder.
    pub files: Vec<(PathBuf, Content)>,
}

/// What is in a file of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(String),
    /// A link to this file.
    Link(PathBuf),
}

/// Why an agent program cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// Somebody has set its variable to something that nothing can be added to.
    #[error("{OPENCODE} is set, and it is no JSON object")]
    Unreadable,
    /// Its machine-wide settings are in use: ours would take their place.
    #[error("{} is in use; doorward connect gemini tells it for good", .0.display())]
    InUse(PathBuf),
    /// It takes such settings from root only, and this is not root's.
    #[error(
        "it takes settings for a run from root only; doorward connect gemini tells it for good"
    )]
    NotOfRoot,
}

impl Agent {
    /// The agent program of this name.
    pub fn of(client: &str) -> Option<Self> {
        match client {
            "claude" => Some(Self::Claude),
            "codex" => Some(Self::Codex),
            "opencode" => Some(Self::OpenCode),
            "gemini" => Some(Self::Gemini),
            "goose" => Some(Self::Goose),
            _ => None,
        }
    }

    /// Whether it has words of its own for a refusal, which its model sees in the place of ours.
    pub fn hides_refusals(self) -> bool {
        matches!(self, Self::Claude | Self::Codex)
    }

    /// What tells it of `servers`.
    pub fn told_of(
        self,
        servers: &[Server],
        around: &Surroundings<'_>,
    ) -> Result<Injection, NotTold> {
        let mut injection = Injection::default();
        match self {
            Self::Claude => injection.arguments = claude(servers, around.only),
            Self::Codex => injection.arguments = codex(servers),
            Self::OpenCode => {
                let text = opencode(servers, (around.set)(OPENCODE).as_deref())?;
                injection.variables.push((OPENCODE, text.into()));
            }
            Self::Gemini => return gemini::told_of(servers, around),
            Self::Goose => return Ok(goose::told_of(servers, around)),
        }
        Ok(injection)
    }
}

/// One word with its value: the flag alone takes every word that follows, a prompt too.
fn claude(servers: &[Server], only: bool) -> Vec<OsString> {
    let entry = |server: &Server| {
        let bearer = format!("Bearer ${{{VARIABLE}}}");
        let headers = json!({"Authorization": bearer, FIELD: IN_RESULTS});
        let entry = json!({"type": "http", "url": server.url, "headers": headers});
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
            "-c".into(),
            format!("{at}.http_headers={{{FIELD}=\"{IN_RESULTS}\"}}").into(),
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
