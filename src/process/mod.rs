//! The processes that sessions are bound to: what tells one from another that gets its number
//! later, and when it ends. Nothing here ends a process or signals one.

use crate::model::record::BoundProcess;

mod callers;
mod dumps;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;
pub mod program;
#[cfg(test)]
mod tests;

pub use callers::{Ancestor, agent, ancestors, shell};
pub use dumps::{close_memory, write_no_cores};
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use other as platform;

/// Why no session can be bound to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// It does not exist, or has ended and only waits for its parent.
    #[error("there is no such process")]
    Gone,
    /// Its end would end a session of somebody else.
    #[error("it belongs to another user")]
    NotYours,
    /// The system does not show it at present.
    #[error("the system does not show it: {0}")]
    Unseen(std::io::ErrorKind),
}

/// The process that has the number `pid` now, if it is one of this user's.
pub fn find(pid: u32) -> Result<BoundProcess, ProcessError> {
    let seen = platform::look(pid).map_err(|error| ProcessError::Unseen(error.kind()))?;
    let seen = seen.ok_or(ProcessError::Gone)?;
    if seen.owner != rustix::process::getuid().as_raw() {
        return Err(ProcessError::NotYours);
    }
    Ok(seen.process)
}

/// Whether this very process lives, and not another one that got its number. An
/// error says nothing about it: sessions are not to end because files ran out.
pub fn lives(process: &BoundProcess) -> std::io::Result<bool> {
    let seen = platform::look(process.pid)?;
    Ok(seen.is_some_and(|seen| seen.process.is(process)))
}

/// Waits for the end of a process; at once where it has ended already.
pub async fn ended(process: &BoundProcess) {
    platform::ended(process).await;
}

/// A process as the system shows it.
struct Seen {
    process: BoundProcess,
    /// The user it runs as.
    owner: u32,
}

/// Where a process comes from.
struct Origin {
    /// The process that started it, or that took its place.
    parent: u32,
    /// Differs between a process and one that became another program since; `None` where the
    /// system does not tell.
    image: Option<u64>,
    /// The words it was started with.
    words: Vec<String>,
}
