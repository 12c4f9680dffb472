//! `logs`, without a daemon: a file is all it needs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::{Home, run};

const LOG: &str = "state/doorward.log";

fn line(number: usize) -> String {
    let fields = json!({"message": "session minted", "session": number});
    json!({"timestamp": "T", "level": "INFO", "fields": fields}).to_string() + "\n"
}

fn append(home: &Home, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).open(home.path(LOG)).expect("there");
    file.write_all(text.as_bytes()).expect("written");
}

#[test]
fn the_last_lines_of_the_log_are_shown() {
    let home = Home::new();
    let lines: Vec<_> = (0..250).map(line).collect();
    home.write(LOG, &lines.concat());
    let shown = run(home.doorward().arg("logs"));
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    assert_eq!(shown.out.lines().count(), 200);
    assert!(shown.out.starts_with("T  INFO session minted session=50\n"));
    let shown = run(home.doorward().args(["logs", "-n", "2", "-o", "json"]));
    assert_eq!(shown.out, lines[248..].concat());
    // A reader that goes away early is no error.
    let mut command = Command::new("sh");
    let script = format!("{} logs | head -n 1", env!("CARGO_BIN_EXE_doorward"));
    command.args(["-c", &script]).env_clear();
    let output = command
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/")])
        .env("DOORWARD_STATE_DIR", home.path("state"))
        .output()
        .expect("it runs");
    assert_eq!(output.stdout, b"T  INFO session minted session=50\n");
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_log_that_is_not_there_is_no_riddle() {
    let home = Home::new();
    for arguments in [&["logs"][..], &["logs", "-f"]] {
        let shown = run(home.doorward().args(arguments));
        assert_eq!((shown.code, shown.out.as_str()), (5, ""));
        assert!(shown.err.contains(LOG), "{}", shown.err);
        assert!(shown.err.contains("run: doorward up"), "{}", shown.err);
    }
    let shown = run(home.doorward().args(["logs", "-o", "json"]));
    let failure: Value = serde_json::from_str(&shown.out).expect("a document");
    assert_eq!(failure["error"]["code"], "no_log");
}

/// `logs -f`, read a line at a time.
struct Following(Child, BufReader<ChildStdout>);

impl Following {
    fn start(home: &Home) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
            .args(["logs", "--follow", "-n", "1"])
            .env_clear()
            .env("HOME", home.path(""))
            .env("DOORWARD_STATE_DIR", home.path("state"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let reader = BufReader::new(child.stdout.take().expect("piped"));
        Self(child, reader)
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("a line");
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_is_followed_goes_on_also_in_a_new_file() {
    let home = Home::new();
    let told = |number: usize| format!("T  INFO session minted session={number}\n");
    home.write(LOG, &(line(1) + &line(2)));
    let mut following = Following::start(&home);
    assert_eq!(following.next(), told(2));
    let third = line(3);
    append(&home, &third[..9]);
    append(&home, &third[9..]);
    assert_eq!(following.next(), told(3));
    home.write(LOG, &line(4));
    assert_eq!(following.next(), told(4), "it was emptied");
    std::fs::rename(home.path(LOG), home.path("state/old")).expect("moved");
    home.write(LOG, &line(5));
    assert_eq!(following.next(), told(5), "another took its place");
}
