//! Signing in and out, and what is signed in.

use std::time::Duration;

use clap::Args;

use super::duration;

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One upstream only, or one account of it
    pub upstream: Option<String>,
    /// Talk to each upstream now
    #[arg(long)]
    pub check: bool,
    /// Show it again every two seconds
    #[arg(long)]
    pub watch: bool,
}

/// `login`
#[derive(Clone, Debug, Args)]
pub struct LoginArgs {
    /// An upstream, an account as in notion@work, or a URL
    #[arg(value_name = "UPSTREAM|URL")]
    pub target: String,
    /// Print the address of the sign-in page and wait
    #[arg(long)]
    pub no_browser: bool,
    /// Read the address that the browser ends on from standard input
    #[arg(long)]
    pub paste: bool,
    /// Show a code to enter in a browser on any other device
    #[arg(long, conflicts_with_all = ["paste", "no_browser"])]
    pub device: bool,
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
            paste: false,
            device: false,
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
