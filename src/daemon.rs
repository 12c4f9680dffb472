//! Wiring: start, reload, signals, drain, stop.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::LogFormat;
use crate::model::catalogue::{Code, Problem};

/// What `serve` was told on the command line.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// The file of the configuration, where a person named one.
    pub config_path: Option<PathBuf>,
    /// The state directory, where a person named one.
    pub state_dir: Option<PathBuf>,
    /// The control socket, where a person named one.
    pub socket: Option<PathBuf>,
    /// The address to listen on.
    pub bind: Option<IpAddr>,
    /// The port to listen on.
    pub port: Option<u16>,
    /// Upstreams beside those of the configuration: name and address.
    pub upstreams: Vec<(String, String)>,
    /// Where to write one line when ready: the address that agents use.
    pub ready_fd: Option<i32>,
    /// The form of the log.
    pub log_format: Option<LogFormat>,
    /// Whether to reload when the file of the configuration changes.
    pub watch: bool,
}

/// Runs the daemon until it is told to stop.
pub fn serve(options: ServeOptions) -> Result<(), Problem> {
    let _ = options;
    Err(Problem::new(Code::Internal).with("detail", "the daemon is not part of this build"))
}
