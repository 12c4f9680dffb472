//! The definitions, and nothing else: what holds for every command here, the rest by group.

use std::path::PathBuf;
use std::time::Duration;

use crate::api::LONGEST_LABEL;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

mod config;
mod connect;
mod ctl;
mod daemon;
mod import;
mod login;
mod service;
mod session;
mod upstream;

pub(super) use config::{CheckArgs, ConfigCommand, ExplainArgs, InitArgs, ShowArgs};
pub(super) use connect::{ConnectArgs, DisconnectArgs, ModeForm, ScopeForm};
pub(super) use ctl::{CtlCommand, StateForm};
pub(super) use daemon::{DemoArgs, LogForm, LogsArgs, ServeArgs};
pub(super) use import::{ImportArgs, Origin};
pub(super) use login::{LoginArgs, LogoutArgs, StatusArgs};
pub(super) use service::ServiceCommand;
pub(super) use session::{
    BridgeArgs, EnvArgs, HeadersArgs, MintArgs, RunArgs, SessionCommand, ShellForm,
};
pub(super) use upstream::{AccountArgs, AuthForm, GroundsArgs, UpstreamAddArgs, UpstreamCommand};

/// Sign in to remote MCP servers once; every agent gets its own local credential.
#[derive(Debug, Parser)]
#[command(
    name = "doorward",
    version,
    propagate_version = false,
    max_term_width = 100
)]
#[command(after_help = "Start with: doorward login https://mcp.example.com/mcp")]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Config file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "DOORWARD_CONFIG",
        hide_env = true
    )]
    pub config: Option<PathBuf>,
    /// State directory: store, socket, log
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "DOORWARD_STATE_DIR",
        hide_env = true
    )]
    pub state_dir: Option<PathBuf>,
    /// Control socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "DOORWARD_SOCKET",
        hide_env = true
    )]
    pub socket: Option<PathBuf>,
    /// Form of the output
    #[arg(
        short,
        long,
        global = true,
        value_name = "FMT",
        env = "DOORWARD_OUTPUT",
        hide_env = true
    )]
    pub output: Option<Output>,
    /// The same as -o json
    #[arg(long, global = true)]
    pub json: bool,
    /// Whether to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// No hints, no progress; errors stay
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More talk on stderr
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Answer yes to confirmations
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Never ask; fail with exit code 6 instead
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Give up after this time, with exit code 9
    #[arg(long, global = true, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table that fits the terminal.
    Table,
    /// A table that may be wider.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Names only.
    Name,
    /// Lines for a shell (`session mint`).
    Env,
    /// A JSON object of header fields (`session mint`).
    Headers,
    /// The same as table.
    Text,
}

/// Whether to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// In pipes too.
    Always,
    /// Not at all.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is signed in, what is running, what needs you
    Status(StatusArgs),
    /// Sign in (adds the upstream when given a URL)
    Login(LoginArgs),
    /// Forget tokens; revoke them at the provider
    Logout(LogoutArgs),
    /// Run an agent with a session of its own, which ends with it
    Run(RunArgs),
    /// Write an agent's config: shown first, undone by disconnect
    Connect(ConnectArgs),
    /// Take out of an agent's config what connect wrote
    Disconnect(DisconnectArgs),
    /// Make sure the daemon runs
    Up,
    /// Stop the daemon
    Down,
    /// Run the daemon in the foreground
    Serve(ServeArgs),
    /// Show the log of a daemon in the background
    Logs(LogsArgs),
    /// Add, list, change and test upstreams
    #[command(subcommand)]
    Upstream(UpstreamCommand),
    /// Credentials for agents
    #[command(subcommand)]
    Session(SessionCommand),
    /// Serve one upstream on standard input and output, for programs without HTTP
    Bridge(BridgeArgs),
    /// What makes sense against a running daemon only
    #[command(subcommand)]
    Ctl(CtlCommand),
    /// The config file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keep the daemon running with the service manager of this user
    #[command(subcommand)]
    Service(ServiceCommand),
    /// The long form of any error code
    Explain(ExplainArgs),
    /// Show the version of this command and of the daemon
    Version,
    /// See it work without any account: eight sessions, and tokens that live five seconds
    Demo(DemoArgs),
}

/// What people call something: as long as a table has room for.
fn label(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("it is empty".to_owned()),
        count if count > LONGEST_LABEL => Err(format!(
            "it has {count} characters; {LONGEST_LABEL} are the most"
        )),
        _ => Ok(text.to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if length.is_zero() => Err("it has to be longer than nothing".to_owned()),
        Ok(length) => Ok(length),
        Err(_) => Err("write a duration such as 90s, 30m, 12h or 30d".to_owned()),
    }
}
