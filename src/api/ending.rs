//! The end of a daemon.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Asks the daemon to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long running calls may take to finish, in seconds; without it, as configured.
    #[serde(default)]
    pub drain_s: Option<u64>,
}

/// Asks the daemon to hand its sockets to another daemon, and to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The socket on which the other daemon waits for them.
    pub socket: PathBuf,
}

/// `doorward/stopping/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// Which document it is.
    pub schema: String,
    /// The process that is going to end.
    pub pid: u32,
    /// How long it lets running calls finish before that, in seconds.
    #[serde(default)]
    pub drain_s: u64,
}

impl Stopping {
    /// The document.
    pub fn new(pid: u32, drain_s: u64) -> Self {
        Self {
            schema: "doorward/stopping/v1".to_owned(),
            pid,
            drain_s,
        }
    }
}
