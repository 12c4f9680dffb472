//! The daemon: in the foreground, and what it wrote in the background.

use std::net::IpAddr;

use clap::{ArgAction, Args, ValueEnum};

/// `serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; loopback only
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    /// Port to listen on; 0 lets the system choose
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// An upstream beside those of the config
    #[arg(long = "upstream", value_name = "[NAME=]URL")]
    pub upstreams: Vec<String>,
    /// Reload when the config file changes
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true")]
    pub watch: bool,
    /// Where to write one line when ready
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<i32>,
    /// Write there as well why it did not start, as `up` wants it
    #[arg(long, hide = true, requires = "ready_fd")]
    pub tell_failure: bool,
    /// Stop when standard input ends, for programs that start a daemon of their own
    #[arg(long)]
    pub until_eof: bool,
    /// Take the place of the daemon that runs, as `up` does
    #[arg(long, hide = true)]
    pub succeed: bool,
    /// Form of the log
    #[arg(long, value_name = "FMT")]
    pub log_format: Option<LogForm>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// `logs`
#[derive(Clone, Copy, Debug, Args)]
pub struct LogsArgs {
    /// Go on with what is written from now on; Ctrl-C ends it
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub lines: usize,
}

/// `demo`
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArgs {
    /// How long to play; Ctrl-C ends it sooner
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
}
