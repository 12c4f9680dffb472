//! Writing clients' files and taking that back.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::model::invocation::quoted;

/// `connect`
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// claude, codex, opencode, gemini, goose, cursor, vscode, zed, claude-desktop, or all
    #[arg(value_name = "CLIENT", required_unless_present = "list")]
    pub client: Option<String>,
    /// Show what is installed and what is connected
    #[arg(long, conflicts_with_all = ["client", "print", "dry_run"])]
    pub list: bool,
    /// Whose file to write
    #[arg(long, default_value = "user")]
    pub scope: ScopeForm,
    /// How the client reaches doorward; without it, the usual way of the client
    #[arg(long)]
    pub mode: Option<ModeForm>,
    /// These upstreams; without it, all, and no others any more
    #[arg(long = "upstream", value_name = "A,B", value_delimiter = ',')]
    pub upstreams: Vec<String>,
    /// Put this in front of the names of the entries
    #[arg(long, value_name = "P", value_parser = prefix)]
    pub prefix: Option<String>,
    /// The file, where it is not the usual one
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Take the place of entries of the same name; disconnect brings them back
    #[arg(long)]
    pub replace: bool,
    /// Follow a link that leads out of the home directory
    #[arg(long)]
    pub follow: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the entries alone, for another file
    #[arg(long, conflicts_with_all = ["dry_run", "replace"])]
    pub print: bool,
}

impl ConnectArgs {
    /// The command as it was given, for this client alone.
    pub fn again(&self, client: &str) -> String {
        let mut words = vec!["doorward connect".to_owned(), client.to_owned()];
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        if self.scope == ScopeForm::Project {
            add("--scope", "project".to_owned());
        }
        if let Some(value) = self.mode.and_then(|mode| mode.to_possible_value()) {
            add("--mode", value.get_name().to_owned());
        }
        if !self.upstreams.is_empty() {
            add("--upstream", self.upstreams.join(","));
        }
        if let Some(prefix) = &self.prefix {
            add("--prefix", prefix.clone());
        }
        if let Some(file) = &self.file {
            add("--file", quoted(&file.to_string_lossy()));
        }
        let flags = [("--replace", self.replace), ("--follow", self.follow)];
        let given = flags.into_iter().filter(|(_, given)| *given);
        words.extend(given.map(|(flag, _)| flag.to_owned()));
        words.join(" ")
    }
}

impl DisconnectArgs {
    /// The command as it was given.
    pub fn again(&self) -> String {
        let mut words = vec!["doorward disconnect".to_owned(), self.client.clone()];
        if let Some(file) = &self.file {
            words.extend(["--file".to_owned(), quoted(&file.to_string_lossy())]);
        }
        words.extend(self.follow.then(|| "--follow".to_owned()));
        words.join(" ")
    }
}

/// `disconnect`
#[derive(Debug, Args)]
pub struct DisconnectArgs {
    /// A client that connect was used for, or all
    pub client: String,
    /// This file only
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Follow a link that leads out of the home directory
    #[arg(long)]
    pub follow: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeForm {
    /// The person's, for all projects.
    User,
    /// That of the project in this directory.
    Project,
}

/// How a client reaches doorward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeForm {
    /// A command prints the credential at every connection.
    Helper,
    /// The credential is in the client's environment.
    Env,
    /// A process of ours on a pipe.
    Bridge,
    /// The credential is written into the file.
    Static,
}

fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("begin with a letter; letters, digits, - and _ may follow".to_owned())
    }
}
