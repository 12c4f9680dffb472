//! What makes sense against a running daemon only.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{AccountArgs, duration};

/// `ctl …`
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// List sessions
    Sessions(SessionsArgs),
    /// Show one session
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
