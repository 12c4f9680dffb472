//! Where each agent program keeps its servers, and what in them is an address.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Entry, Source, Transport, command};

/// All remote servers in a document.
pub(super) fn all(source: Source, file: &Path, document: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for servers in tables(source, document) {
        for (name, server) in servers {
            let Some(server) = server.as_object() else {
                continue;
            };
            if let Some(remote) = remote(source, server) {
                found.push(Entry {
                    source,
                    file: file.to_owned(),
                    name: name.clone(),
                    url: remote.url,
                    transport: remote.transport,
                    fields: remote.fields,
                    through_command: remote.through_command,
                });
            }
        }
    }
    found
}

/// The tables of servers in a document.
fn tables(source: Source, document: &Value) -> Vec<&Map<String, Value>> {
    let at = |path: &str| document.pointer(path).and_then(Value::as_object);
    let places: &[&str] = match source {
        Source::Claude | Source::ClaudeDesktop | Source::Cursor | Source::Gemini => {
            &["/mcpServers"]
        }
        Source::Codex => &["/mcp_servers"],
        Source::VsCode => &["/servers"],
        // The second revision of its configuration has them one step further down.
        Source::OpenCode => &["/mcp/servers", "/mcp"],
        Source::Goose => &["/extensions"],
        Source::Zed => &["/context_servers"],
    };
    let mut tables: Vec<_> = places.iter().filter_map(|path| at(path)).collect();
    if source == Source::Claude {
        // What the person added for one directory only.
        let projects = at("/projects").into_iter().flat_map(Map::values);
        let local = projects.filter_map(|project| project.get("mcpServers"));
        tables.extend(local.filter_map(Value::as_object));
    }
    tables
}

/// What an entry says of its server.
pub(super) struct Remote {
    pub(super) url: String,
    pub(super) transport: Transport,
    pub(super) fields: Vec<String>,
    pub(super) through_command: bool,
}

fn remote(source: Source, server: &Map<String, Value>) -> Option<Remote> {
    let text = |name: &str| server.get(name).and_then(Value::as_str);
    let kind = text("type").or_else(|| text("transport"));
    let streamable = text("httpUrl");
    let address = streamable.or_else(|| text("url")).or_else(|| text("uri"));
    let Some(url) = address else {
        return command::remote(&words(server));
    };
    let sse = match kind {
        Some(kind) => kind == "sse",
        // A bare `url` means the older transport there.
        None => source == Source::Gemini && streamable.is_none(),
    };
    let mut fields = Vec::new();
    for table in ["headers", "http_headers", "env_http_headers"] {
        let table = server.get(table).and_then(Value::as_object);
        fields.extend(table.into_iter().flat_map(Map::keys).cloned());
    }
    if text("bearer_token_env_var").is_some() || text("bearer_token").is_some() {
        fields.push("Authorization".to_owned());
    }
    if text("headersHelper").is_some() {
        fields.push("Authorization".to_owned());
    }
    fields.sort();
    fields.dedup();
    Some(Remote {
        url: url.to_owned(),
        transport: if sse { Transport::Sse } else { Transport::Http },
        fields,
        through_command: false,
    })
}

/// The words of the command that a local server is: they stand in one list, or in a word and a
/// list, or in a table of both.
fn words(server: &Map<String, Value>) -> Vec<&str> {
    let program = ["command", "cmd"].into_iter().find_map(|it| server.get(it));
    let mut words: Vec<&str> = Vec::new();
    match program {
        Some(Value::String(program)) => words.push(program),
        Some(Value::Array(all)) => words.extend(all.iter().filter_map(Value::as_str)),
        Some(Value::Object(both)) => {
            words.extend(both.get("path").and_then(Value::as_str));
            let arguments = both.get("args").and_then(Value::as_array);
            words.extend(arguments.into_iter().flatten().filter_map(Value::as_str));
        }
        _ => {}
    }
    let arguments = server.get("args").and_then(Value::as_array);
    words.extend(arguments.into_iter().flatten().filter_map(Value::as_str));
    words
}
