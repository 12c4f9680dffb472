//! The configuration file, and the words of its messages.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
