//! Gemini CLI: it takes servers from files of settings only, and one of them it can be pointed to
//! by a variable. That one is the machine's, which goes before all others; where it is in use
//! already, nothing is done. Since a program could replace what an administrator has set that way,
//! versions of 2026 (seen in 0.61) skip a file that is not root's, or that lies where others may
//! write: there nothing is done either.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Content, Injection, NotTold, Server, Surroundings, VARIABLE};

const SETTINGS: &str = "GEMINI_CLI_SYSTEM_SETTINGS_PATH";
const DEFAULTS: &str = "GEMINI_CLI_SYSTEM_DEFAULTS_PATH";

pub(super) fn told_of(servers: &[Server], around: &Surroundings<'_>) -> Result<Injection, NotTold> {
    if let Some(set) = (around.set)(SETTINGS).filter(|set| !set.is_empty()) {
        return Err(NotTold::InUse(set.into()));
    }
    let machine = Path::new(if cfg!(target_os = "macos") {
        "/Library/Application Support/GeminiCli"
    } else {
        "/etc/gemini-cli"
    });
    let settings = machine.join("settings.json");
    if (around.exists)(&settings) {
        return Err(NotTold::InUse(settings));
    }
    if !around.of_root {
        return Err(NotTold::NotOfRoot);
    }
    let text = text(servers);
    let path = around.folder.join(name(&text));
    let mut variables = vec![(SETTINGS, path.clone().into_os_string())];
    if (around.set)(DEFAULTS).is_none() {
        // Otherwise it would look for them beside the settings.
        let defaults: PathBuf = machine.join("system-defaults.json");
        variables.push((DEFAULTS, defaults.into_os_string()));
    }
    let only = servers.iter().filter(|_| around.only);
    let flag = |server: &Server| format!("--allowed-mcp-server-names={}", server.name).into();
    Ok(Injection {
        arguments: only.map(flag).collect(),
        variables,
        files: vec![(path, Content::Text(text))],
        ..Injection::default()
    })
}

/// Its header fields lose the values of variables that look like secrets by their names; this
/// one's does not.
fn text(servers: &[Server]) -> String {
    let entry = |server: &Server| {
        let bearer = format!("Bearer ${VARIABLE}");
        let entry = json!({"httpUrl": server.url, "headers": {"Authorization": bearer}});
        (server.name.clone(), entry)
    };
    let entries: Map<String, Value> = servers.iter().map(entry).collect();
    json!({ "mcpServers": entries }).to_string()
}

/// The same text is the same file, so that their number is that of different wishes.
fn name(text: &str) -> String {
    use std::fmt::Write;

    let mut name = String::from("gemini-");
    for byte in &Sha256::digest(text)[..8] {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name + ".json"
}
