//! The program that this process runs.

use std::fs::Metadata;
use std::io;

/// When the file of this process's program was last written, in whole seconds since the epoch.
/// `None` where the system does not tell.
///
/// On Linux it is the file that was started, even where another one has taken its place since.
pub fn made() -> Option<u64> {
    let modified = file().ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

#[cfg(target_os = "linux")]
fn file() -> io::Result<Metadata> {
    std::fs::metadata("/proc/self/exe")
}

#[cfg(not(target_os = "linux"))]
fn file() -> io::Result<Metadata> {
    std::fs::metadata(std::env::current_exe()?)
}
