//! What the system does not allow: nothing is written, and the next command is the one that was
//! typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{doorward, home, read};

#[test]
fn the_next_command_means_the_same_as_the_one_that_was_typed() {
    let home = home();
    let words = [
        "connect",
        "codex",
        "--mode",
        "env",
        "--upstream",
        "linear",
        "--prefix",
        "dw-",
        "--replace",
        "--file",
        "my own.toml",
    ];
    let ran = doorward(&home, &words);
    assert_eq!(ran.code, 6, "{}", ran.err);
    let again = "run: doorward connect codex --mode env --upstream linear --prefix dw- \
                 --file 'my own.toml' --replace --yes\n";
    assert!(ran.err.ends_with(again), "{}", ran.err);
    let file = home.write("broken.toml", "a = \n");
    let file = file.to_str().expect("text");
    let ran = doorward(&home, &["connect", "codex", "--file", file, "--yes"]);
    let again = format!("fix it, then: doorward connect codex --file {file}\n");
    assert_eq!(ran.code, 7);
    assert!(ran.err.ends_with(&again), "{}", ran.err);
}

#[test]
fn a_directory_that_takes_no_file_is_named() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    let home = home();
    home.write(".codex/config.toml", "a = 1\n");
    let directory = home.path(".codex");
    let mode = |mode| {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("ours");
    };
    mode(0o500);
    let ran = doorward(&home, &["connect", "codex", "--yes"]);
    mode(0o700);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains(
            "why: nothing can be put into ~/.codex: permission denied; nothing was written"
        ),
        "{}",
        ran.err
    );
    assert_eq!(read(&home, ".codex/config.toml"), "a = 1\n");
}
