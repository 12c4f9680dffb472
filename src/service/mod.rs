//! What the service manager of a user is told: the files, and the commands that make it read them.
//! Nothing here writes or runs anything.
//!
//! They are services of the user and not of the machine: those could not read the user's keyring.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub mod launchd;
pub mod systemd;

#[cfg(test)]
mod tests;

/// A daemon that is to be kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What the manager calls it.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Flags with which every command means this daemon.
    pub flags: Vec<String>,
    /// Where agents reach it.
    pub address: SocketAddr,
    /// Its control socket.
    pub socket: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// How long running calls get when it stops.
    pub drain: Duration,
}

/// A file of a service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFile {
    /// Its name in the directory of the manager.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A command to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The program, looked up in `PATH`.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Step {
    fn new<'a>(program: &'static str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            program,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.program, self.arguments.join(" "))
    }
}

/// The name of the service of the daemon on `state_dir`; `None` stands for the usual one.
pub fn name(state_dir: Option<&Path>) -> String {
    match state_dir {
        None => "doorward".to_owned(),
        Some(dir) => {
            let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
            let [a, b, c, d] = [digest[0], digest[1], digest[2], digest[3]];
            format!("doorward-{a:02x}{b:02x}{c:02x}{d:02x}")
        }
    }
}

/// How long a daemon may take to end, beyond what running calls get: a refresh is waited for.
const BEYOND_DRAIN: Duration = Duration::from_secs(75);
