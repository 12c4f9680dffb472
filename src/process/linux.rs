//! Linux: `/proc` tells processes apart, and a descriptor of the process tells its end at once. A
//! kernel before 5.3, or a sandbox that forbids such descriptors, is asked again and again.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Origin, Seen, lives};
use crate::model::record::BoundProcess;

/// Between two looks where there are no descriptors of processes: half of the second in which
/// the end of a process ends its sessions.
const PERIOD: Duration = Duration::from_millis(500);

pub(super) fn look(pid: u32) -> Result<Option<Seen>> {
    let odd = || Error::from(ErrorKind::InvalidData);
    let Some(status) = read(&format!("/proc/{pid}/status"))? else {
        return Ok(None);
    };
    // Threads have numbers and places in /proc too, and are no processes.
    if field(&status, "Tgid:").ok_or_else(odd)? != pid {
        return Ok(None);
    }
    let Some(stat) = read(&format!("/proc/{pid}/stat"))? else {
        return Ok(None);
    };
    let Stat {
        name,
        state,
        started,
    } = Stat::parse(&stat).ok_or_else(odd)?;
    if matches!(state, 'Z' | 'X') {
        return Ok(None);
    }
    let boot = read("/proc/sys/kernel/random/boot_id")?;
    let process = BoundProcess {
        pid,
        started,
        boot: boot.map(|id| id.trim().to_owned()),
        exe: Some(name.to_owned()),
    };
    let owner = field(&status, "Uid:").ok_or_else(odd)?;
    Ok(Some(Seen { process, owner }))
}

pub(super) fn origin(pid: u32) -> Result<Option<Origin>> {
    let Some(stat) = read(&format!("/proc/{pid}/stat"))? else {
        return Ok(None);
    };
    let Some(words) = read(&format!("/proc/{pid}/cmdline"))? else {
        return Ok(None);
    };
    let odd = || Error::from(ErrorKind::InvalidData);
    let (_, fields) = stat.rsplit_once(')').ok_or_else(odd)?;
    let mut fields = fields.split_whitespace();
    // proc(5): the parent is the fourth field, the bottom of the stack the twenty-eighth. A fork
    // has the one of its parent, and a program that was executed one at an address of its own.
    let parent = fields.nth(1).and_then(|field| field.parse().ok());
    let image = fields.nth(23).and_then(|field| field.parse().ok());
    Ok(Some(Origin {
        parent: parent.ok_or_else(odd)?,
        image: image.filter(|at| *at > 1),
        words: words.split_terminator('\0').map(str::to_owned).collect(),
    }))
}

/// The text of a file; `None` only where there is none, since all else, such as too many open
/// files, says nothing about the process.
fn read(path: &str) -> Result<Option<String>> {
    match fs::read(path) {
        // The name of a program is in it, which may be any bytes.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // It ended between the opening and the reading.
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first number of a line of `/proc/PID/status`; of `Uid:` that is the real one, which also
/// holds for programs that hide their memory and whose files therefore belong to root.
fn field(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What is used of `/proc/PID/stat`.
pub(super) struct Stat<'a> {
    pub(super) name: &'a str,
    pub(super) state: char,
    pub(super) started: u64,
}

impl<'a> Stat<'a> {
    /// The name of a program may hold spaces and brackets: what follows the last bracket counts.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?.chars().next()?;
        // The state is the third field of proc(5), the start the twenty-second.
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self {
            name,
            state,
            started,
        })
    }
}

#[expect(
    deprecated,
    reason = "sound for an OwnedFd, which cannot change or close; the successor is unsafe"
)]
fn readiness(held: OwnedFd) -> Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(held, Interest::READABLE)
}

pub(super) async fn ended(process: &BoundProcess) {
    let raw = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = raw else { return };
    loop {
        // Only after the descriptor is held does a look tell whose it is.
        let held = pidfd_open(pid, PidfdFlags::empty());
        match (held, lives(process)) {
            (Err(Errno::SRCH), _) | (_, Ok(false)) => return,
            (Ok(held), Ok(true)) => {
                if let Ok(held) = readiness(held)
                    && held.readable().await.is_ok()
                {
                    return;
                }
            }
            // There is no descriptor or nothing to see at present: that is not its end.
            (Err(_), _) | (_, Err(_)) => {}
        }
        tokio::time::sleep(PERIOD).await;
    }
}
