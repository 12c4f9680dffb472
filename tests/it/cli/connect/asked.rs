//! Somebody sits at a terminal and is asked.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::super::Home;
use super::{CLAUDE, doorward, home, read};

/// The command on a terminal, with `at_the_question` done before the answer is given.
fn asked(
    home: &Home,
    arguments: &str,
    at_the_question: impl FnOnce(),
    answer: &str,
) -> (i32, String) {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_doorward"));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("TERM", "dumb"),
            ("SHELL", "/bin/sh"),
        ])
        .env("HOME", home.dir.path())
        .env("DOORWARD_STATE_DIR", home.path("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut output = child.stdout.take().expect("piped");
    let mut seen = Vec::new();
    while !seen.ends_with(b"[y/N] ") {
        let mut byte = [0];
        output.read_exact(&mut byte).expect("a question");
        seen.push(byte[0]);
    }
    at_the_question();
    let mut input = child.stdin.take().expect("piped");
    input.write_all(answer.as_bytes()).expect("it reads");
    output.read_to_end(&mut seen).expect("the rest");
    let code = child.wait().expect("it ends").code().expect("a code");
    (code, String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn a_file_that_changed_between_the_question_and_the_answer_is_left_alone() {
    let home = home();
    let file = home.write(".claude.json", CLAUDE);
    let theirs = CLAUDE.replace('3', "4");
    let (code, told) = asked(
        &home,
        "connect claude",
        || fs::write(&file, &theirs).expect("written"),
        "y\n",
    );
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("~/.claude.json changed while you were looking at the preview"),
        "{told}"
    );
    assert_eq!(read(&home, ".claude.json"), theirs);
    let ran = doorward(&home, &["disconnect", "claude"]);
    assert!(
        ran.err.contains("is not connected"),
        "nothing is remembered: {}",
        ran.err
    );

    let (code, told) = asked(&home, "connect claude", || (), "n\n");
    assert_eq!(
        (code, read(&home, ".claude.json")),
        (6, theirs.clone()),
        "{told}"
    );
    let (code, told) = asked(&home, "connect claude", || (), "y\n");
    assert_eq!(code, 0, "{told}");
    let written = read(&home, ".claude.json");
    assert!(written.contains("linear"));
    let edited = written.replace('4', "5");
    let (code, told) = asked(
        &home,
        "disconnect claude",
        || fs::write(&file, &edited).expect("written"),
        "y\n",
    );
    assert_eq!((code, read(&home, ".claude.json")), (1, edited), "{told}");
    // It is still remembered.
    assert_eq!(doorward(&home, &["disconnect", "claude", "--yes"]).code, 0);
    assert_eq!(read(&home, ".claude.json"), CLAUDE.replace('3', "5"));
}
