//! An agent with a session of its own: what it is called, what it finds in its environment, and
//! how this process becomes it. Becoming it, and not starting it, is what makes the rest simple:
//! pid and start time stay, so that a session bound to this process is bound to the agent; its
//! terminal, signals and exit code are its own; and nobody is left whose death could leave the
//! session behind, since the daemon itself waits for the agent's end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::agents::Server;
use crate::api::{Account, GrantedAccount};
use crate::model::catalogue::{Code, Problem};

mod shell;
#[cfg(test)]
mod tests;

pub use shell::Shell;

/// The name of a command without its directory.
pub fn name_of(command: &OsStr) -> String {
    let name = Path::new(command).file_name().unwrap_or(command);
    harmless(&name.to_string_lossy())
}

/// The agent program: as it was named, or as the command is called.
pub fn client(asked: &str, command: &OsStr) -> Option<String> {
    match asked {
        "none" => None,
        "auto" => Some(name_of(command)),
        named => Some(named.to_owned()),
    }
}

/// What a session is called that nobody gave a name: `claude · web-app`.
pub fn label(client: Option<&str>, command: &OsStr, directory: Option<&Path>) -> String {
    let program = client.map_or_else(|| name_of(command), str::to_owned);
    match directory.and_then(Path::file_name) {
        Some(name) => format!("{program} · {}", harmless(&name.to_string_lossy())),
        None => program,
    }
}

fn harmless(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The accounts of a grant, in its order.
pub fn granted<'a>(grant: &[GrantedAccount], all: &'a [Account]) -> Vec<&'a Account> {
    let find = |granted: &GrantedAccount| {
        all.iter().find(|account| {
            (&account.name, &account.account) == (&granted.upstream, &granted.account)
        })
    };
    grant.iter().filter_map(find).collect()
}

/// The accounts as servers with names of their own: `notion`, and `notion-work` for its account
/// `work`; with one more dash where another one has that name.
pub fn servers(accounts: &[&Account]) -> Vec<Server> {
    let is_default = |account: &Account| account.account == "default";
    let plain = accounts.iter().filter(|account| is_default(account));
    let mut taken: Vec<String> = plain.map(|account| account.name.clone()).collect();
    let mut server = |account: &&Account| {
        let mut name = account.name.clone();
        if !is_default(account) {
            let mut dash = String::from("-");
            loop {
                name = format!("{}{dash}{}", account.name, account.account);
                if !taken.contains(&name) {
                    break;
                }
                dash.push('-');
            }
            taken.push(name.clone());
        }
        Server {
            name,
            reference: account.reference(),
            url: account.local_url.clone(),
        }
    };
    accounts.iter().map(&mut server).collect()
}

/// What the agent finds in its environment, the credential among it and nowhere else.
pub fn variables(
    url: &str,
    credential: &str,
    socket: &Path,
    accounts: &[&Account],
) -> BTreeMap<String, OsString> {
    let mut all = BTreeMap::new();
    let is_default = |account: &&&Account| account.account == "default";
    let (plain, named): (Vec<&Account>, Vec<&Account>) = accounts.iter().partition(is_default);
    for account in &named {
        let name = format!("{} {}", account.name, account.account);
        all.insert(variable(&name), account.local_url.clone().into());
    }
    // The name of an upstream alone is its default account's, or its first one's; what is set
    // later wins, also over an account that happens to be spelled like another upstream.
    for account in named.iter().rev().chain(&plain) {
        all.insert(variable(&account.name), account.local_url.clone().into());
    }
    all.insert("DOORWARD_URL".to_owned(), url.into());
    all.insert("DOORWARD_SESSION".to_owned(), credential.into());
    all.insert("DOORWARD_SOCKET".to_owned(), socket.into());
    all
}

/// `DOORWARD_URL_MY_UPSTREAM`
fn variable(name: &str) -> String {
    let letter = |c: char| match c.to_ascii_uppercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '_',
    };
    format!(
        "DOORWARD_URL_{}",
        name.chars().map(letter).collect::<String>()
    )
}

/// Becomes the command. Comes back only to say why it cannot.
pub fn turn_into(
    command: &OsStr,
    arguments: &[OsString],
    variables: &BTreeMap<String, OsString>,
) -> Problem {
    let error = Command::new(command).args(arguments).envs(variables).exec();
    let shown = command.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => {
            let problem = Problem::new(Code::CommandNotFound).with("command", &shown);
            if shown.contains('/') {
                problem.because("no such file; its session is over already")
            } else {
                problem
            }
        }
        _ => Problem::new(Code::CommandNotExecutable)
            .with("command", shown)
            .with("detail", error),
    }
}
