//! macOS and other Unix systems: the kernel's own notice of an end needs calls that no safe
//! interface offers, so a process is looked for twice a second, and which one it is every two
//! seconds: that a number is used again sooner is next to impossible, since these systems hand
//! them out in turn. A process that ended and that its parent does not collect is noticed after
//! two seconds.

use std::io::{Error, ErrorKind, Result};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sha2::{Digest, Sha256};

use super::{Origin, Seen, lives};
use crate::model::record::BoundProcess;

/// Between two looks: half of the second in which the end of a process ends its sessions.
const PERIOD: Duration = Duration::from_millis(500);
/// Every so many looks are thorough ones.
const PATIENCE: u32 = 4;

/// A line about a process.
fn line(pid: u32, columns: &str) -> Result<Option<String>> {
    let output = Command::new("/bin/ps")
        .args(["-p", &pid.to_string(), "-o", columns])
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let line = String::from_utf8_lossy(&output.stdout);
    if line.trim().is_empty() {
        // That is how it says that there is none; one that was killed says nothing.
        return match output.status.code() {
            Some(1) => Ok(None),
            _ => Err(Error::from(ErrorKind::Interrupted)),
        };
    }
    Ok(Some(line.into_owned()))
}

/// Its words are told apart by spaces here, and whether it became another program is not told.
pub(super) fn origin(pid: u32) -> Result<Option<Origin>> {
    let Some(line) = line(pid, "ppid=,args=")? else {
        return Ok(None);
    };
    let mut words = line.split_whitespace();
    let parent = words.next().and_then(|field| field.parse().ok());
    Ok(Some(Origin {
        parent: parent.ok_or(Error::from(ErrorKind::InvalidData))?,
        image: None,
        words: words.map(str::to_owned).collect(),
    }))
}

pub(super) fn look(pid: u32) -> Result<Option<Seen>> {
    let Some(line) = line(pid, "uid=,state=,lstart=,ucomm=")? else {
        return Ok(None);
    };
    let (state, seen) = parse(pid, &line).ok_or(Error::from(ErrorKind::InvalidData))?;
    Ok((!state.starts_with('Z')).then_some(seen))
}

/// `501 S Sat Nov 21 11:05:47 2026 claude`
fn parse(pid: u32, line: &str) -> Option<(&str, Seen)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [owner, state, start @ .., _] = words.get(..8)? else {
        return None;
    };
    // The date is compared and never shown.
    let digest: [u8; 32] = Sha256::digest(start.join(" ")).into();
    let (first, _) = digest.split_first_chunk::<8>()?;
    let process = BoundProcess {
        pid,
        started: u64::from_be_bytes(*first),
        boot: None,
        exe: Some(words[7..].join(" ")),
    };
    let owner = owner.parse().ok()?;
    Some((state, Seen { process, owner }))
}

pub(super) async fn ended(process: &BoundProcess) {
    let raw = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = raw else { return };
    for look in 0_u32.. {
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return;
        }
        // One that its parent has not collected yet can be signalled still, and ps is slow.
        if look.is_multiple_of(PATIENCE) {
            let process = process.clone();
            let looked = tokio::task::spawn_blocking(move || lives(&process));
            // What could not be seen is looked for again.
            if matches!(looked.await, Ok(Ok(false))) {
                return;
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}
