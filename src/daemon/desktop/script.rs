//! A notice by `osascript`, which every macOS has.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Notice;

/// Where it is. `PATH` may name another one.
#[cfg(target_os = "macos")]
pub(super) const PROGRAM: &str = "/usr/bin/osascript";

/// What is run; the words come to it as arguments, so that none is taken for a part of it.
const SCRIPT: &str = "on run argv\n\
     display notification (item 2 of argv) with title (item 1 of argv)\n\
     end run";

/// How long it may take: the next notice waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows `notice` with `program`. Takes five seconds at most.
pub(super) async fn show(program: &Path, notice: &Notice) -> io::Result<()> {
    // Neither begins with a dash: both begin with the name of an account.
    let running = Command::new(program)
        .args(["-e", SCRIPT, &notice.title, &notice.text])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = timeout(PATIENCE, running).await??;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(status.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A program in the place of `osascript`.
    fn standin(folder: &Path, script: &str) -> PathBuf {
        let file = folder.join("osascript");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, mode).expect("ours");
        file
    }

    #[tokio::test]
    async fn words_come_as_arguments_and_never_as_a_part_of_the_script() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("told");
        let program = standin(folder.path(), r#"printf '%s\0' "$@" > "${0%/*}/told""#);
        let notice = Notice {
            title: "linear needs you to sign in".to_owned(),
            text: "\" & (do shell script \"id\") & \"\n'$(id)' \\".to_owned(),
        };
        show(&program, &notice).await.expect("shown");
        let told = std::fs::read_to_string(told).expect("told");
        let told: Vec<_> = told.split_terminator('\0').collect();
        assert_eq!(told, ["-e", SCRIPT, &notice.title, &notice.text]);
        assert!(!SCRIPT.contains(&notice.title));
    }

    #[tokio::test]
    async fn a_notice_that_cannot_be_shown_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let notice = Notice {
            title: "linear".to_owned(),
            text: "linear".to_owned(),
        };
        let failed = show(&standin(folder.path(), "exit 1"), &notice).await;
        assert!(failed.expect_err("it failed").to_string().contains('1'));
        let absent = show(&folder.path().join("nothing"), &notice).await;
        assert_eq!(absent.expect_err("absent").kind(), io::ErrorKind::NotFound);
    }
}
