//! Where the files of one daemon are: state directory, store, key file, lock, control socket.
//!
//! A state directory that was asked for by name holds all of them. Otherwise they are where the
//! platform wants them, and the control socket is found with nothing but `HOME` in the
//! environment, since some agent programs pass no more to their children.

mod lock;
pub mod log;
mod private;
mod problem;

pub use lock::{DaemonInfo, InstanceLock};
pub use private::{
    create_private, ensure_private_dir, refuse_exposed, refuse_exposed_socket, write_private,
};

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

/// The bytes a Unix socket path may have, without the closing NUL: `sun_path` is 108 bytes on
/// Linux and 104 on macOS and the BSDs.
pub const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

const SOCKET: &str = "doorward.sock";
const LOCK: &str = "doorward.lock";
const DAEMON: &str = "daemon.json";
const STORE: &str = "store.redb";
const KEY: &str = "store.key";
const CONFIG: &str = "config.toml";
const LOG: &str = "doorward.log";
const FORMER_LOG: &str = "doorward.log.1";
const START_LOCK: &str = "start.lock";
const RUN: &str = "run";
const AGENTS: &str = "agents";
const CONNECTIONS: &str = "connections.json";
const CONNECTIONS_LOCK: &str = "connections.lock";

/// Everything of ours that a state directory may hold.
const FILE_NAMES: [&str; 13] = [
    SOCKET,
    LOCK,
    DAEMON,
    STORE,
    KEY,
    CONFIG,
    LOG,
    FORMER_LOG,
    START_LOCK,
    RUN,
    AGENTS,
    CONNECTIONS,
    CONNECTIONS_LOCK,
];

/// Why the files of a daemon cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The environment names no home directory.
    #[error("no home directory is known; set HOME or DOORWARD_STATE_DIR")]
    NoHome,
    /// Other people may read or write a directory or a file of ours.
    #[error("{} can be used by others (mode {mode:03o})", .path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether it is a directory.
        directory: bool,
    },
    /// A directory or a file of ours belongs to another user.
    #[error("{} belongs to another user (uid {owner})", .path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// Whose.
        owner: u32,
    },
    /// Something else stands where a file of ours should be.
    #[error("{} is not {expected}", .path.display())]
    Unexpected {
        /// Where.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// Another daemon uses these files.
    #[error("another doorward is running{}", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Running {
        /// Its process, where known.
        pid: Option<u32>,
    },
    /// The operating system refused.
    #[error("{}: {why}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

impl PathError {
    /// The operating system's refusal of `path`.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            why: error.to_string(),
        }
    }
}

/// The environment variables that paths depend on, read once.
#[derive(Clone, Debug, Default)]
pub struct Environment(HashMap<String, OsString>);

impl Environment {
    const NAMES: [&str; 7] = [
        "HOME",
        "XDG_STATE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
        "DOORWARD_STATE_DIR",
        "DOORWARD_CONFIG",
        "DOORWARD_SOCKET",
    ];

    /// That of this process. A missing `HOME` is looked up in the user database.
    pub fn of_process() -> Self {
        let mut variables: HashMap<String, OsString> = Self::NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)))
            .collect();
        if !variables.contains_key("HOME")
            && let Some(home) = std::env::home_dir()
        {
            variables.insert("HOME".to_owned(), home.into());
        }
        Self(variables)
    }

    /// The variable as an absolute path; the XDG specification has relative ones ignored.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.path(name).filter(|path| path.is_absolute())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.0.get(name)?;
        (!text.is_empty()).then(|| PathBuf::from(text))
    }
}

impl<K: Into<String>, V: AsRef<OsStr>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let pairs = variables.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.as_ref().to_owned()))
                .collect(),
        )
    }
}

/// The files of one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Holds everything that outlives the process; mode 0700.
    pub state_dir: PathBuf,
    /// The control socket; in a 0700 directory of its own or in the state directory.
    pub socket: PathBuf,
    /// Held locked by the running daemon.
    pub lock: PathBuf,
    /// Who the running daemon is and where it listens ([`DaemonInfo`]).
    pub daemon: PathBuf,
    /// The sealed records.
    pub store: PathBuf,
    /// The key, where it lives in a file.
    pub key: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// The log of a daemon that was started in the background.
    pub log: PathBuf,
    /// What `connect` remembers of other programs' files.
    pub connections: PathBuf,
    /// Something a person should be told about where things are.
    pub note: Option<String>,
}

impl Paths {
    /// The files as `--state-dir` (or `DOORWARD_STATE_DIR`) and the environment have them.
    /// Nothing is created.
    pub fn resolve(state_dir: Option<&Path>, environment: &Environment) -> Result<Self, PathError> {
        let asked = state_dir
            .map(Path::to_owned)
            .or_else(|| environment.path("DOORWARD_STATE_DIR"));
        let mut paths = match asked {
            Some(dir) => {
                let dir = std::path::absolute(&dir).map_err(|e| PathError::io(&dir, &e))?;
                Self::all_in(dir)
            }
            None => Self::of_platform(environment)?,
        };
        if let Some(config) = environment.path("DOORWARD_CONFIG") {
            paths.config = config;
        }
        match environment.path("DOORWARD_SOCKET") {
            Some(socket) => paths.socket = socket,
            None => paths.shorten_socket(),
        }
        Ok(paths)
    }

    fn all_in(dir: PathBuf) -> Self {
        Self {
            socket: dir.join(SOCKET),
            lock: dir.join(LOCK),
            daemon: dir.join(DAEMON),
            store: dir.join(STORE),
            key: dir.join(KEY),
            config: dir.join(CONFIG),
            log: dir.join(LOG),
            connections: dir.join(CONNECTIONS),
            state_dir: dir,
            note: None,
        }
    }

    fn of_platform(environment: &Environment) -> Result<Self, PathError> {
        let home = environment.absolute("HOME");
        let state = if cfg!(target_os = "macos") {
            home.as_ref()
                .map(|home| home.join("Library/Application Support"))
        } else {
            environment
                .absolute("XDG_STATE_HOME")
                .or_else(|| Some(home.as_ref()?.join(".local/state")))
        };
        let config = environment
            .absolute("XDG_CONFIG_HOME")
            .or_else(|| Some(home?.join(".config")));
        let mut paths = Self::all_in(state.ok_or(PathError::NoHome)?.join("doorward"));
        let config = config.ok_or(PathError::NoHome)?;
        paths.config = config.join("doorward").join(CONFIG);
        let runtime = environment
            .absolute("XDG_RUNTIME_DIR")
            .filter(|dir| private::is_private_dir(dir))
            .or_else(private::user_runtime_dir);
        paths.socket = match runtime {
            Some(runtime) => runtime.join("doorward").join(SOCKET),
            None => paths.state_dir.join(RUN).join(SOCKET),
        };
        Ok(paths)
    }

    /// Moves a socket whose path no socket address can hold into a short directory that follows
    /// from the user and the state directory alone, so that a client finds it the same way.
    fn shorten_socket(&mut self) {
        if self.socket.as_os_str().len() <= SOCKET_PATH_MAX {
            return;
        }
        let digest = Sha256::digest(self.state_dir.as_os_str().as_encoded_bytes());
        let hash = Base64UrlUnpadded::encode_string(&digest[..6]);
        let short = match private::user_runtime_dir() {
            Some(runtime) => runtime.join(format!("doorward-{hash}")),
            None => PathBuf::from(format!("/tmp/doorward-{}-{hash}", private::user())),
        };
        let short = short.join(SOCKET);
        self.note = Some(format!(
            "the path {} is too long for a socket; it is at {}",
            self.socket.display(),
            short.display()
        ));
        self.socket = short;
    }

    /// Where a client should look for the socket, best guess first. The daemon may have been
    /// started with an `XDG_RUNTIME_DIR` that the client does not have.
    pub fn find_socket(&self) -> PathBuf {
        let announced = DaemonInfo::read(self).map(|info| info.socket);
        let fallback = self.state_dir.join(RUN).join(SOCKET);
        [Some(self.socket.clone()), announced, Some(fallback)]
            .into_iter()
            .flatten()
            .find(|path| path.exists())
            .unwrap_or_else(|| self.socket.clone())
    }

    /// What agent programs are pointed to for a run: no secret is there.
    pub fn agents(&self) -> PathBuf {
        self.state_dir.join(AGENTS)
    }

    /// Held by the one command that may start a daemon, or change the config file without one.
    pub fn start_lock(&self) -> PathBuf {
        self.state_dir.join(START_LOCK)
    }

    /// Creates the state directory, or refuses one that others may use.
    pub fn prepare(&self) -> Result<(), PathError> {
        ensure_private_dir(&self.state_dir)
    }
}

#[cfg(test)]
mod tests;
