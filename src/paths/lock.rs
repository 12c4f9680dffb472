//! One daemon at a time: a lock that the kernel gives back whatever happens to the process, so
//! that no pid file can be stale; and the right to remove a stale socket, which comes with it.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{PathError, Paths, create_private, ensure_private_dir, refuse_exposed, write_private};
use crate::model::time::Timestamp;

/// What a running daemon tells about itself in `daemon.json`. After a crash it may be stale: only
/// an answer on the socket proves that the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonInfo {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Where agents reach it, such as `http://127.0.0.1:5177`.
    pub base_url: String,
    /// Its control socket.
    pub socket: PathBuf,
    /// When it started.
    pub started: Timestamp,
}

impl DaemonInfo {
    /// What the last daemon with these paths told, if it did.
    pub fn read(paths: &Paths) -> Option<Self> {
        let text = fs::read(&paths.daemon).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Held by the one daemon that may use these paths, until it is dropped or the process ends.
#[derive(Debug)]
pub struct InstanceLock {
    // Never read again: the lock lives as long as the open file.
    _file: File,
    paths: Paths,
    /// Whether the control socket ends with this daemon.
    bound: AtomicBool,
}

impl InstanceLock {
    /// Prepares the state directory and takes the lock, or tells who has it.
    pub fn acquire(paths: &Paths) -> Result<Self, PathError> {
        let file = Self::file(paths)?;
        match file.try_lock() {
            Ok(()) => Ok(Self::held(file, paths)),
            Err(TryLockError::WouldBlock) => Err(PathError::Running {
                pid: DaemonInfo::read(paths).map(|info| info.pid),
            }),
            Err(TryLockError::Error(error)) => Err(PathError::io(&paths.lock, &error)),
        }
    }

    /// The same, after whoever has it now; blocks until then.
    pub fn await_turn(paths: &Paths) -> Result<Self, PathError> {
        let file = Self::file(paths)?;
        file.lock()
            .map_err(|error| PathError::io(&paths.lock, &error))?;
        Ok(Self::held(file, paths))
    }

    fn file(paths: &Paths) -> Result<File, PathError> {
        paths.prepare()?;
        refuse_exposed(&paths.lock)?;
        create_private(&paths.lock).map_err(|error| PathError::io(&paths.lock, &error))
    }

    fn held(file: File, paths: &Paths) -> Self {
        Self {
            _file: file,
            paths: paths.clone(),
            bound: AtomicBool::new(false),
        }
    }

    /// Writes `daemon.json`.
    pub fn announce(&self, info: &DaemonInfo) -> Result<(), PathError> {
        let file = &self.paths.daemon;
        let text = serde_json::to_vec_pretty(info).map_err(io::Error::from);
        text.and_then(|text| write_private(file, &text))
            .map_err(|error| PathError::io(file, &error))
    }

    /// Listens on the control socket, mode 0600 in a 0700 directory, after removing what a
    /// daemon that was killed left there. Blocking mode is left to the caller.
    pub fn bind_socket(&self) -> Result<UnixListener, PathError> {
        let socket = &self.paths.socket;
        let failed = |error: io::Error| PathError::io(socket, &error);
        if let Some(dir) = socket.parent() {
            ensure_private_dir(dir)?;
        }
        remove_stale(socket)?;
        let listener = UnixListener::bind(socket).map_err(failed)?;
        self.keep_socket();
        fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(listener)
    }

    /// The control socket ends with this daemon, which did not bind it itself.
    pub fn keep_socket(&self) {
        self.bound.store(true, Ordering::SeqCst);
    }

    /// The control socket outlives this daemon: the one that comes next listens on it already.
    pub fn leave_socket(&self) {
        self.bound.store(false, Ordering::SeqCst);
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // What cannot be removed only costs the next start a probe.
        let _ = fs::remove_file(&self.paths.daemon);
        if self.bound.load(Ordering::SeqCst) {
            let _ = fs::remove_file(&self.paths.socket);
        }
    }
}

/// Removes a socket that nobody answers on. The lock alone does not prove that it is stale: two
/// state directories may have been pointed at one socket.
fn remove_stale(socket: &Path) -> Result<(), PathError> {
    let meta = match fs::symlink_metadata(socket) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PathError::io(socket, &error)),
    };
    if !meta.file_type().is_socket() {
        return Err(PathError::Unexpected {
            path: socket.to_owned(),
            expected: "a socket",
        });
    }
    if UnixStream::connect(socket).is_ok() {
        return Err(PathError::Running { pid: None });
    }
    fs::remove_file(socket).map_err(|error| PathError::io(socket, &error))
}
