//! The definitions, and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

mod daemon;
mod import;
mod session;

pub(super) use daemon::{LogForm, LogsArgs, ServeArgs};
pub(super) use import::{ImportArgs, Origin};
pub(super) use session::{EnvArgs, HeadersArgs, MintArgs, RunArgs, SessionCommand, ShellForm};

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
    /// The long form of any error code
    Explain(ExplainArgs),
    /// Show the version of this command and of the daemon
    Version,
    /// See it work without any account: eight sessions, and tokens that live five seconds
    Demo(DemoArgs),
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One upstream only, or one account of it
    pub upstream: Option<String>,
    /// Talk to each upstream now
    #[arg(long)]
    pub check: bool,
}

/// `login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// An upstream, an account as in notion@work, or a URL
    #[arg(value_name = "UPSTREAM|URL")]
    pub target: String,
    /// Print the address of the sign-in page and wait
    #[arg(long)]
    pub no_browser: bool,
    /// Scopes in place of those configured
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub scopes: Option<Vec<String>>,
    /// Scopes beside those configured
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub add_scopes: Vec<String>,
    /// Sign in again even if nothing is wrong
    #[arg(long)]
    pub force: bool,
    /// The name for a URL
    #[arg(long)]
    pub name: Option<String>,
    /// How long the sign-in may take
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub wait: Option<Duration>,
}

impl LoginArgs {
    /// A sign-in without any wishes.
    pub fn of(target: String) -> Self {
        Self {
            target,
            no_browser: false,
            scopes: None,
            add_scopes: Vec::new(),
            force: false,
            name: None,
            wait: None,
        }
    }
}

/// `logout`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["upstream", "all"]))]
pub struct LogoutArgs {
    /// An upstream, or an account as in notion@work
    pub upstream: Option<String>,
    /// Every account of every upstream
    #[arg(long)]
    pub all: bool,
    /// Keep the registered client
    #[arg(long)]
    pub keep_client: bool,
    /// Do not tell the provider
    #[arg(long)]
    pub local: bool,
}

/// `bridge`
#[derive(Debug, Args)]
pub struct BridgeArgs {
    /// An upstream, or an account as in notion@work
    pub upstream: String,
    /// A name for the session
    #[arg(long)]
    pub label: Option<String>,
    /// Do not start the daemon
    #[arg(long)]
    pub no_autostart: bool,
}

/// `demo`
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArgs {
    /// How long to play; Ctrl-C ends it sooner
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
}

/// `upstream …`
#[derive(Debug, Subcommand)]
pub enum UpstreamCommand {
    /// Add an upstream to the config
    Add(UpstreamAddArgs),
    /// List upstreams
    List,
    /// Show everything about one: settings with their sources, problems
    Show(NameArgs),
    /// Take one out of the config
    Remove(NameArgs),
    /// Try it step by step: connection, sign-in, initialize, tools
    Test(AccountArgs),
    /// Switch it on
    Enable(NameArgs),
    /// Switch it off, keeping its sign-in
    Disable(NameArgs),
    /// Give it another name
    Rename(RenameArgs),
    /// Take over remote servers that your agent programs have already
    Import(ImportArgs),
}

/// `upstream add`
#[derive(Debug, Args)]
pub struct UpstreamAddArgs {
    /// A short name such as linear
    pub name: String,
    /// The address of the MCP server
    pub url: String,
    /// How doorward proves itself to it
    #[arg(long, default_value = "oauth")]
    pub auth: AuthForm,
    /// A field to add to every request; may be repeated
    #[arg(long = "header", value_name = "K: V")]
    pub headers: Vec<String>,
    /// What people call it
    #[arg(long)]
    pub label: Option<String>,
    /// Scopes to ask for
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub scopes: Vec<String>,
    /// Allow plain http outside this machine
    #[arg(long)]
    pub allow_http: bool,
}

/// How doorward proves itself to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthForm {
    /// A person signs in.
    Oauth,
    /// It asks for nothing.
    None,
}

/// One upstream.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The upstream
    pub name: String,
}

/// One account.
#[derive(Debug, Args)]
pub struct AccountArgs {
    /// The upstream, or an account as in notion@work
    #[arg(value_name = "UPSTREAM[@ACCOUNT]")]
    pub account: String,
}

/// `upstream rename`
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// What it is called
    pub name: String,
    /// What it shall be called
    pub new: String,
}

/// `ctl …`
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// List sessions
    Sessions(SessionsArgs),
    /// Show one session and its last calls
    Show(IdArgs),
    /// End sessions at once
    Revoke(RevokeArgs),
    /// Renew the token of an upstream now
    Refresh(AccountArgs),
    /// Check the config, then use it
    Reload,
}

/// `ctl sessions`
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// Those of this agent program
    #[arg(long)]
    pub client: Option<String>,
    /// Those that may reach this upstream
    #[arg(long)]
    pub upstream: Option<String>,
    /// Those in this state
    #[arg(long)]
    pub state: Option<StateForm>,
    /// The ended ones too
    #[arg(long)]
    pub all: bool,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateForm {
    /// In use.
    Active,
    /// Quiet.
    Idle,
    /// Its window ran out.
    Expired,
    /// Ended.
    Revoked,
}

/// One session.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// The id, or the beginning of one
    pub id: String,
}

/// `ctl revoke`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "client", "upstream", "label", "idle", "all"]))]
pub struct RevokeArgs {
    /// These sessions
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Those of this agent program
    #[arg(long)]
    pub client: Option<String>,
    /// Those that may reach this upstream
    #[arg(long, value_name = "UPSTREAM[@ACCOUNT]")]
    pub upstream: Option<String>,
    /// Those whose label has this form; * stands for anything
    #[arg(long, value_name = "GLOB")]
    pub label: Option<String>,
    /// Those quiet for this long
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub idle: Option<Duration>,
    /// All
    #[arg(long, conflicts_with_all = ["ids", "client", "upstream", "label", "idle"])]
    pub all: bool,
    /// Why; the agents are told
    #[arg(long)]
    pub reason: Option<String>,
}

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Look for mistakes
    Check(CheckArgs),
    /// Show what holds
    Show(ShowArgs),
    /// Print where the file is
    Path,
    /// Write a commented example
    Init(InitArgs),
}

/// `config check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file; without it, the one that the daemon would read
    pub file: Option<PathBuf>,
}

/// `config show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Where each value came from
    #[arg(long)]
    pub sources: bool,
}

/// `config init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as login-required; without it, all of them
    pub code: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if length.is_zero() => Err("it has to be longer than nothing".to_owned()),
        Ok(length) => Ok(length),
        Err(_) => Err("write a duration such as 90s, 30m, 12h or 30d".to_owned()),
    }
}
