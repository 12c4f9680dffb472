//! The service of the user's service manager.

use clap::{Args, Subcommand};

/// `service …`
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ServiceCommand {
    /// Keep the daemon running: a user unit of systemd, or an agent of launchd
    Install(InstallArgs),
    /// Stop it and take it out again
    Uninstall,
    /// Start it
    Start,
    /// Stop it
    Stop,
    /// Put a new daemon in its place; nobody is turned away meanwhile
    Restart,
    /// Whether it runs: exit code 0, 3 (stopped) or 5 (not installed)
    Status,
    /// Show the files that install would write
    Print,
}

/// `service install`
#[derive(Clone, Copy, Debug, Args)]
pub struct InstallArgs {
    /// Show what would be written, and write nothing
    #[arg(long, visible_alias = "print")]
    pub dry_run: bool,
}
