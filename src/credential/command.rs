//! Runs a command for what it prints. It gets no terminal and no input, and a process group of its
//! own, so that it can be ended as a whole.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::model::fault::CommandFault;

/// At most this much of the output is a credential.
const LONGEST_OUTPUT: u64 = 64 * 1024;
/// This much of the complaint is kept.
const LONGEST_COMPLAINT: u64 = 16 * 1024;
/// This much of its last line is shown.
const LONGEST_DETAIL: usize = 200;

/// A command as it is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Variables added to those of the daemon.
    pub env: &'a BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What a person is told who does not have the program.
    pub install_hint: Option<&'a str>,
}

impl Invocation<'_> {
    /// As people know it. Without its arguments after the first, which may be secret.
    pub fn name(&self) -> String {
        match self.command {
            [] => String::new(),
            [program] => program.clone(),
            [program, first, ..] if first.starts_with('-') => program.clone(),
            [program, first, ..] => format!("{program} {first}"),
        }
    }
}

/// What the command prints. It is killed, with everything that it started, where it takes longer
/// than it may.
pub async fn stdout(invocation: &Invocation<'_>) -> Result<Zeroizing<Vec<u8>>, CommandFault> {
    let name = invocation.name();
    let missing = |why: String| CommandFault::Missing {
        command: name.clone(),
        why,
        install_hint: invocation.install_hint.map(ToOwned::to_owned),
    };
    let (program, arguments) = invocation
        .command
        .split_first()
        .ok_or_else(|| missing("no program is named".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(invocation.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| missing(error.to_string()))?;
    let group = Group::of(child.id());
    let (output, complaint) = (child.stdout.take(), child.stderr.take());
    let run = async {
        let reading = futures_util::future::join(
            bounded(output, LONGEST_OUTPUT),
            bounded(complaint, LONGEST_COMPLAINT),
        );
        let ((output, complaint), status) = futures_util::future::join(reading, child.wait()).await;
        (output, complaint, status)
    };
    let Ok((output, complaint, status)) = tokio::time::timeout(invocation.timeout, run).await
    else {
        return Err(CommandFault::TimedOut {
            command: name,
            after: invocation.timeout,
        });
    };
    group.ended();
    let status = status.map_err(|error| missing(error.to_string()))?;
    if !status.success() {
        return Err(CommandFault::Failed {
            command: name,
            ended: ended(status),
            detail: last_line(&complaint),
        });
    }
    Ok(output)
}

/// The process group of a command; killed when dropped before it [`ended`](Self::ended).
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Self {
        let id = id.and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The error means that it has ended meanwhile.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps no more than `limit` of it.
async fn bounded(from: Option<impl AsyncRead + Unpin>, limit: u64) -> Zeroizing<Vec<u8>> {
    // Large enough that no copy of a usual token is left behind.
    let mut kept = Zeroizing::new(Vec::with_capacity(16 * 1024));
    let Some(mut from) = from else { return kept };
    // A pipe that breaks ends the output; how the command ended says whether that was well.
    let _ = (&mut from).take(limit).read_to_end(&mut kept).await;
    let mut rest = [0_u8; 4096];
    while matches!(from.read(&mut rest).await, Ok(1..)) {}
    kept
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exited {code}"),
        None => "was killed".to_owned(),
    }
}

fn last_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it gave no reason").trim();
    line.chars().take(LONGEST_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, CommandFault> {
        let command = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let env = BTreeMap::from([("DOORWARD_TEST_WORD".to_owned(), "word".to_owned())]);
        let invocation = Invocation {
            command: &command,
            env: &env,
            timeout,
            install_hint: Some("apt install it"),
        };
        actix_rt::System::new().block_on(stdout(&invocation))
    }

    #[test]
    fn a_command_gives_what_it_prints_and_nothing_to_read() {
        let printed = sh("cat; echo \"$DOORWARD_TEST_WORD\"", Duration::from_mins(1));
        assert_eq!(printed.expect("it ends").as_slice(), b"word\n");
    }

    #[test]
    fn a_command_that_fails_is_told_of_by_its_last_words() {
        let failed = sh("echo one >&2; echo two >&2; exit 3", Duration::from_mins(1));
        assert_eq!(
            failed.expect_err("it fails").to_string(),
            "`sh` exited 3: two"
        );
    }

    /// `read` on the terminal would wait for ever.
    #[test]
    fn a_command_that_waits_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("alive");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        let script = format!("(exec sleep 1000 >{0}) & exec sleep 1000", pipe.display());
        // The reader gets an end only when the last process that writes is gone.
        let reader = std::thread::spawn(move || std::fs::read(pipe));
        let fault = sh(&script, Duration::from_millis(300)).expect_err("too long");
        assert!(matches!(fault, CommandFault::TimedOut { .. }), "{fault:?}");
        assert!(reader.join().expect("no panic").expect("read").is_empty());
    }

    #[test]
    fn a_program_that_is_not_there_comes_with_the_hint() {
        let env = BTreeMap::new();
        let invocation = Invocation {
            command: &["/nonexistent/kubelogin".to_owned(), "get-token".to_owned()],
            env: &env,
            timeout: Duration::from_secs(1),
            install_hint: Some("apt install it"),
        };
        let fault = actix_rt::System::new().block_on(stdout(&invocation));
        let Err(CommandFault::Missing {
            command,
            install_hint,
            ..
        }) = fault
        else {
            panic!("{fault:?}");
        };
        assert_eq!(command, "/nonexistent/kubelogin get-token");
        assert_eq!(install_hint.as_deref(), Some("apt install it"));
    }
}
