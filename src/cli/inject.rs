//! Telling an agent program of its servers, for `run`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::arguments::RunArgs;
use super::connect::{Holder, taken};
use super::run::Context;
use super::start;
use crate::agents::{Agent, Content, Server, Surroundings};
use crate::api::Account;
use crate::connect::Client;
use crate::paths;
use crate::run;

/// Whether and how the agent program is told of the servers.
pub(super) struct Telling {
    agent: Option<Agent>,
    only: bool,
    /// Nothing is written for what is only shown.
    writes: bool,
}

impl Telling {
    pub(super) fn of(asked: &RunArgs, client: Option<&str>) -> Self {
        let client = client.filter(|_| !asked.no_inject);
        Self {
            agent: client.and_then(Agent::of),
            only: asked.only,
            writes: !asked.print,
        }
    }

    /// The servers under names that the agent's own files do not have.
    fn beside_others(&self, context: &Context, agent: Agent, servers: Vec<Server>) -> Vec<Server> {
        let client = match agent {
            // It knows no others.
            Agent::Claude if self.only => return servers,
            Agent::Claude => Client::Claude,
            Agent::Codex => Client::Codex,
            Agent::OpenCode => Client::OpenCode,
            // They are told by files and commands of ours, in which theirs are not.
            Agent::Gemini | Agent::Goose => return servers,
        };
        let names: Vec<_> = servers.iter().map(|server| server.name.clone()).collect();
        let told = named(&taken(context, client), agent, servers);
        for server in told.iter().filter(|server| !names.contains(&server.name)) {
            let (name, reference) = (&server.name, &server.reference);
            let screen = &context.ctl.screen;
            screen.hint(format!(
                "{reference} is called {name} in this run: an entry of yours has its name"
            ));
        }
        told
    }

    /// The person's arguments with those that tell the agent of its servers; variables that do
    /// are put to the others. An agent that cannot be told is run all the same: its environment
    /// tells it the most.
    pub(super) fn told_of(
        &self,
        context: &Context,
        accounts: &[&Account],
        arguments: &[OsString],
        variables: &mut BTreeMap<String, OsString>,
    ) -> Vec<OsString> {
        let mut words = arguments.to_vec();
        let Some(agent) = self.agent.filter(|_| !accounts.is_empty()) else {
            return words;
        };
        let folder = context.paths.agents();
        let program = std::env::current_exe().unwrap_or_else(|_| "doorward".into());
        let same_daemon = start::same_daemon(context);
        let around = Surroundings {
            only: self.only,
            arguments,
            set: &|name| std::env::var(name).ok(),
            exists: &Path::exists,
            folder: &folder,
            of_root: is_of_root(&folder),
            program: &program,
            same_daemon: &same_daemon,
        };
        let warn = |why: &dyn std::fmt::Display| {
            let screen = &context.ctl.screen;
            screen.warn(format!("the agent is not told of its servers: {why}"));
        };
        let servers = self.beside_others(context, agent, run::servers(accounts));
        if servers.is_empty() {
            return words;
        }
        let injection = match agent.told_of(&servers, &around) {
            Ok(injection) => injection,
            Err(error) => {
                warn(&error);
                return words;
            }
        };
        if self.writes
            && !injection.files.is_empty()
            && let Err(error) = put(&folder, &injection.files)
        {
            warn(&format!("{}: {error}", folder.display()));
            return words;
        }
        let more = injection.variables.into_iter();
        variables.extend(more.map(|(name, value)| (name.to_owned(), value)));
        let at = injection.behind.min(words.len());
        words.splice(at..at, injection.arguments);
        words
    }
}

/// The servers under names that nobody else's entry has, where `taken` has those that are in use.
fn named(taken: &BTreeMap<String, Holder>, agent: Agent, servers: Vec<Server>) -> Vec<Server> {
    let mut all = Vec::new();
    for mut server in servers {
        match taken.get(&server.name) {
            // It is told of this one already, and would merge the two into one that it refuses.
            Some(Holder::Ours) if agent == Agent::Codex => continue,
            Some(Holder::Theirs) => {
                server.name.insert_str(0, "doorward-");
                while taken.contains_key(&server.name) {
                    server.name.push('-');
                }
            }
            Some(Holder::Ours) | None => {}
        }
        all.push(server);
    }
    all
}

/// Whether `folder`, which need not be there yet, and all above it are root's alone.
fn is_of_root(folder: &Path) -> bool {
    let safe = |path: &Path| match std::fs::metadata(path) {
        Ok(meta) => meta.uid() == 0 && meta.mode() & 0o022 == 0,
        // It will be made by this process.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    rustix::process::geteuid().is_root() && folder.ancestors().all(safe)
}

/// Puts our files where they belong; those that are right already stay as they are, since an
/// agent may be reading them.
fn put(folder: &Path, files: &[(std::path::PathBuf, Content)]) -> io::Result<()> {
    paths::ensure_private_dir(folder).map_err(io::Error::other)?;
    for (path, content) in files {
        match content {
            Content::Text(text) if std::fs::read(path).is_ok_and(|it| it == text.as_bytes()) => {}
            Content::Text(text) => paths::write_private(path, text.as_bytes())?,
            Content::Link(to) if std::fs::read_link(path).is_ok_and(|it| it == *to) => {}
            Content::Link(to) => {
                let new = tempfile::Builder::new().tempdir_in(folder)?;
                let link = new.path().join("link");
                std::os::unix::fs::symlink(to, &link)?;
                std::fs::rename(link, path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_name_of_its_own() {
        let server = |name: &str| Server {
            name: name.to_owned(),
            reference: name.to_owned(),
            url: String::new(),
        };
        let taken = [
            ("linear", Holder::Theirs),
            ("doorward-linear", Holder::Theirs),
            ("notion", Holder::Ours),
        ];
        let taken = taken.map(|(name, holder)| (name.to_owned(), holder)).into();
        let names = |agent| {
            let servers = ["linear", "notion", "wiki"].map(server).to_vec();
            let told = named(&taken, agent, servers).into_iter();
            told.map(|server| server.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Agent::Claude), ["doorward-linear-", "notion", "wiki"]);
        assert_eq!(names(Agent::Codex), ["doorward-linear-", "wiki"]);
    }
}
