//! What is written for one upstream, for each client and each way of reaching doorward.

use serde::{Deserialize, Serialize};
use serde_json::{Map as Object, Value};

use super::client::Client;
use super::setting::{Fields, Setting, meaning};
use crate::model::in_band::{FIELD, IN_RESULTS};

/// Where the credential is, in the environment of an agent. No part of the name is one that Gemini
/// CLI blanks in header fields.
const VARIABLE: &str = "DOORWARD_SESSION";
/// What tells one server from another: the keys of its address or its command.
const ADDRESSES: [&str; 6] = ["url", "httpUrl", "uri", "command", "args", "cmd"];

/// How a server of a client reaches doorward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A command prints the header fields at every connection.
    Helper,
    /// The credential is in the client's environment.
    Env,
    /// A process of ours on a pipe, with a session of its own.
    Bridge,
    /// The credential is in the file.
    Static,
}

impl Mode {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Helper => "helper",
            Self::Env => "env",
            Self::Bridge => "bridge",
            Self::Static => "static",
        }
    }
}

/// An upstream account as a server of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it is called there.
    pub name: String,
    /// What it is called here: `notion@work`.
    pub account: String,
    /// Its address here.
    pub url: String,
}

/// How doorward is run by somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The command: its name where every program finds it, else where it is.
    pub command: String,
    /// What it is always given.
    pub flags: Vec<String>,
}

/// An entry as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it says.
    pub fields: Fields,
}

impl Entry {
    /// What it is known by later on, whatever else somebody puts into it.
    pub fn mark(&self) -> Value {
        let Value::Object(all) = meaning(&self.fields) else {
            return Value::Null;
        };
        let known = all.into_iter();
        let known = known.filter(|(name, _)| ADDRESSES.contains(&name.as_str()));
        Value::Object(known.collect::<Object<_, _>>())
    }
}

/// The entry of `server`. `credential` is what `static` writes.
pub fn entry(
    client: Client,
    mode: Mode,
    server: &Server,
    program: &Program,
    credential: &str,
) -> Entry {
    let fields = match mode {
        Mode::Bridge => bridge(client, server, program),
        Mode::Helper => {
            let words = ["session", "headers", "--client", client.facts().name];
            fields([
                ("type", "http".into()),
                ("url", server.url.as_str().into()),
                ("headersHelper", shell(program, &words).into()),
            ])
        }
        Mode::Env => env(client, server),
        Mode::Static => written(client, server, credential),
    };
    Entry {
        name: server.name.clone(),
        fields,
    }
}

fn fields<const N: usize>(all: [(&str, Setting); N]) -> Fields {
    let named = all.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Header fields with a credential. The models of `OpenCode` and Gemini CLI read what comes with a
/// 401; those of other programs read words of the program's own, or a sign-in is begun, so these
/// ask to be told by the result of the call (docs/choices.md).
fn headers(client: Client, credential: &str) -> Setting {
    let mut all = fields([("Authorization", format!("Bearer {credential}").into())]);
    if !matches!(client, Client::OpenCode | Client::Gemini) {
        all.extend(in_results());
    }
    all.into()
}

/// The field with which a program asks to be told of the end of its session by the result of its
/// call, which its model reads.
fn in_results() -> Fields {
    fields([(FIELD, IN_RESULTS.into())])
}

fn bridge(client: Client, server: &Server, program: &Program) -> Fields {
    let command = || Setting::from(program.command.as_str());
    let mut words = program.flags.clone();
    words.extend(["bridge".to_owned(), server.account.clone()]);
    match client {
        Client::Claude | Client::VsCode => fields([
            ("type", "stdio".into()),
            ("command", command()),
            ("args", words.into()),
        ]),
        // Its ten seconds to start a server are short where the daemon has to be started, too.
        Client::Codex => fields([
            ("command", command()),
            ("args", words.into()),
            ("startup_timeout_sec", 20.into()),
        ]),
        Client::OpenCode => {
            words.insert(0, program.command.clone());
            fields([
                ("type", "local".into()),
                ("command", words.into()),
                ("enabled", true.into()),
            ])
        }
        Client::Gemini => fields([
            ("command", command()),
            ("args", words.into()),
            ("timeout", 600_000.into()),
        ]),
        Client::Goose => fields([
            ("enabled", true.into()),
            ("type", "stdio".into()),
            ("name", server.name.as_str().into()),
            ("cmd", command()),
            ("args", words.into()),
            ("timeout", 300.into()),
        ]),
        Client::Cursor | Client::ClaudeDesktop => {
            fields([("command", command()), ("args", words.into())])
        }
        Client::Zed => fields([
            ("command", command()),
            ("args", words.into()),
            ("env", Fields::new().into()),
        ]),
    }
}

fn env(client: Client, server: &Server) -> Fields {
    let url = || Setting::from(server.url.as_str());
    match client {
        Client::Codex => fields([
            ("url", url()),
            ("bearer_token_env_var", VARIABLE.into()),
            ("http_headers", in_results().into()),
        ]),
        Client::OpenCode => fields([
            ("type", "remote".into()),
            ("url", url()),
            ("oauth", false.into()),
            ("enabled", true.into()),
            ("headers", headers(client, &format!("{{env:{VARIABLE}}}"))),
        ]),
        // A bare `url` is taken for the old transport.
        Client::Gemini => fields([
            ("httpUrl", url()),
            ("headers", headers(client, &format!("${VARIABLE}"))),
        ]),
        Client::Goose => fields([
            ("enabled", true.into()),
            ("type", "streamable_http".into()),
            ("name", server.name.as_str().into()),
            ("uri", url()),
            ("headers", headers(client, &format!("${{{VARIABLE}}}"))),
            // It fills in the variables that it is told of, and no others.
            ("env_keys", vec![VARIABLE.to_owned()].into()),
            ("timeout", 300.into()),
        ]),
        Client::Cursor => fields([
            ("url", url()),
            ("headers", headers(client, &format!("${{env:{VARIABLE}}}"))),
        ]),
        Client::Claude | Client::VsCode | Client::Zed | Client::ClaudeDesktop => fields([
            ("type", "http".into()),
            ("url", url()),
            ("headers", headers(client, &format!("${{{VARIABLE}}}"))),
        ]),
    }
}

fn written(client: Client, server: &Server, credential: &str) -> Fields {
    let url = Setting::from(server.url.as_str());
    match client {
        Client::Codex => fields([("url", url), ("http_headers", headers(client, credential))]),
        Client::Zed => fields([("url", url), ("headers", headers(client, credential))]),
        _ => fields([
            ("type", "http".into()),
            ("url", url),
            ("headers", headers(client, credential)),
        ]),
    }
}

/// A command line for a shell.
fn shell(program: &Program, words: &[&str]) -> String {
    let flags = program.flags.iter().map(String::as_str);
    let all = std::iter::once(program.command.as_str()).chain(flags);
    let all: Vec<_> = all.chain(words.iter().copied()).map(quoted).collect();
    all.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./@:=+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
