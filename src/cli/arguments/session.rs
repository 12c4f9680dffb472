//! Sessions and the programs that they are for.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::ctl::{IdArgs, RevokeArgs, SessionsArgs};
use super::{duration, label};

/// `session …`
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Make a credential for an agent; it is shown once
    Mint(MintArgs),
    /// Print the header fields of the calling agent's session, as a JSON object
    Headers(HeadersArgs),
    /// Print lines that put a session of the calling shell into its environment
    Env(EnvArgs),
    /// Slide the windows of a session now, as a use would
    Renew(IdArgs),
    /// The same as ctl sessions
    List(SessionsArgs),
    /// The same as ctl show
    Show(IdArgs),
    /// The same as ctl revoke
    Revoke(RevokeArgs),
}

/// What a new session may reach, and for how long.
#[derive(Debug, Args)]
pub struct Bounds {
    /// What it may reach; without it, what the config says
    #[arg(long = "upstream", value_name = "A,B", value_delimiter = ',')]
    pub upstreams: Vec<String>,
    /// It lives on this long after each use
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub ttl: Option<Duration>,
}

/// `session mint`
#[derive(Debug, Args)]
pub struct MintArgs {
    /// What its session may reach, and for how long.
    #[command(flatten)]
    pub bounds: Bounds,
    /// What to call it
    #[arg(long, value_parser = label)]
    pub label: Option<String>,
    /// The agent program it is for
    #[arg(long)]
    pub client: Option<String>,
    /// It is reclaimed when quiet this long
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub idle: Option<Duration>,
    /// End it with this process
    #[arg(long, value_name = "PID")]
    pub bind_pid: Option<u32>,
}

/// `session headers`
#[derive(Debug, Args)]
pub struct HeadersArgs {
    /// What its session may reach, and for how long.
    #[command(flatten)]
    pub bounds: Bounds,
    /// What to call its session; without it, the program and the directory
    #[arg(long, value_parser = label)]
    pub label: Option<String>,
    /// The agent program that asks; without it, the one that started this command
    #[arg(long)]
    pub client: Option<String>,
}

/// `session env`
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// The shell that reads the lines; without it, the calling one
    #[arg(long)]
    pub shell: Option<ShellForm>,
    /// What its session may reach, and for how long.
    #[command(flatten)]
    pub bounds: Bounds,
    /// What to call its session; without it, the shell and the directory
    #[arg(long, value_parser = label)]
    pub label: Option<String>,
}

/// A shell, by how it writes a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellForm {
    /// And other shells of its kind.
    #[value(alias = "sh")]
    Bash,
    /// Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
    /// `PowerShell`.
    Pwsh,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What its session may reach, and for how long.
    #[command(flatten)]
    pub bounds: Bounds,
    /// What to call its session; without it, the program and the directory
    #[arg(long, value_parser = label)]
    pub label: Option<String>,
    /// The agent program; without it, the name of the command
    #[arg(long, value_name = "NAME|none", default_value = "auto")]
    pub client: String,
    /// Hide the agent's other MCP servers, where it can be told to
    #[arg(long, conflicts_with = "no_inject")]
    pub only: bool,
    /// Tell the agent nothing but its environment
    #[arg(long)]
    pub no_inject: bool,
    /// Let the session live on when the command has ended
    #[arg(long)]
    pub keep: bool,
    /// Inside of another session: mint one that may reach no more than that one
    #[arg(long)]
    pub nested: bool,
    /// Show what would be run, and mint nothing
    #[arg(long)]
    pub print: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `bridge`
#[derive(Debug, Args)]
pub struct BridgeArgs {
    /// An upstream, or an account as in notion@work
    pub upstream: String,
    /// A name for the session
    #[arg(long, value_parser = label)]
    pub label: Option<String>,
    /// Do not start the daemon
    #[arg(long)]
    pub no_autostart: bool,
}
