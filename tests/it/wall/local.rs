//! Who else is on this machine: other users, agents with a credential, and programs that guess.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use doorward::model::guess::{BURST, WAIT};
use tokio::time::Instant;

use crate::support::agent::Agent;
use crate::support::parts::{Daemon, Exchange};
use crate::support::raw::{Upstream, ok};

/// A user that owns nothing.
const NOBODY: u32 = 65534;

/// Whether this machine lets us be somebody else.
fn can_be_another() -> bool {
    let able = rustix::process::geteuid().is_root()
        && Command::new("setpriv").arg("--version").output().is_ok();
    if !able {
        eprintln!("passed over: this needs root and setpriv");
    }
    able
}

fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", program]);
    command
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn open(path: &std::path::Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("it is ours");
}

#[test]
fn ls_uds_permissions_another_user_cannot_use_the_socket_whatever_its_mode() {
    if !can_be_another() {
        return;
    }
    let daemon = Daemon::start();
    let (id, credential) = daemon.mint("x");
    let socket = daemon.state().join("doorward.sock");
    let bearer = format!("authorization: Bearer {credential}");
    let ask = |method: &str, path: &str, body: &str| {
        let url = format!("http://localhost{path}");
        let mut curl = as_nobody("curl");
        curl.args(["-sS", "-w", " %{http_code}", "-X", method, "-d", body]);
        curl.args(["-H", "content-type: application/json", "-H", &bearer]);
        curl.arg("--unix-socket").arg(&socket).arg(url);
        said(&curl.output().expect("curl"))
    };
    // The directory is closed.
    let refused = ask("GET", "/api/v1/status", "");
    assert!(refused.contains(" 000"), "{refused}");
    // And where somebody has opened it, the peer is looked at.
    open(&daemon.state(), 0o777);
    open(daemon.state().parent().expect("its home"), 0o777);
    open(&socket, 0o777);
    let revoke = format!(r#"{{"ids":["{id}"]}}"#);
    for (method, path, body) in [
        ("GET", "/api/v1/status", ""),
        ("GET", "/api/v1/sessions", ""),
        ("POST", "/api/v1/sessions", r#"{"label":"mine"}"#),
        ("POST", "/api/v1/sessions/revoke", revoke.as_str()),
        ("POST", "/api/v1/shutdown", "null"),
        ("GET", "/api/v1/nothing", ""),
    ] {
        let refused = ask(method, path, body);
        assert!(refused.ends_with(" 403"), "{path}: {refused}");
        assert!(refused.contains("peer_refused"), "{path}: {refused}");
        assert!(!refused.contains(&id), "{path}: {refused}");
    }
    // The same request of the owner is answered.
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(code, 0, "{status}");
}

#[test]
fn ls_control_plane_separate_a_session_opens_nothing_but_its_upstreams() {
    let daemon = Daemon::start();
    let (_, credential) = daemon.mint("x");
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    for (method, path) in [
        ("GET", "/api/v1/version"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/sessions"),
        ("POST", "/api/v1/sessions"),
        ("POST", "/api/v1/sessions/revoke"),
        ("POST", "/api/v1/upstreams"),
        ("POST", "/api/v1/reload"),
        ("POST", "/api/v1/shutdown"),
    ] {
        let url = format!("{}{path}", daemon.url);
        let answer = Exchange::send(method, &url, &fields, "{}");
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    let (code, _) = daemon.run(&["status"]);
    assert_eq!(code, 0, "it still runs");
}

#[test]
fn guesses_are_slowed_down_and_a_right_credential_is_not() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = Agent::before(up.url("/mcp"));
    let guess = |number: u64| {
        format!(
            "DELETE /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer dw_guess_{number}\r\n\r\n",
            agent.address
        )
    };
    let mut wire = agent.connect();
    for number in 0..BURST {
        assert_eq!(wire.ask(guess(number)).status(), 401);
    }
    let begun = Instant::now();
    wire.write(guess(BURST));
    assert_eq!(agent.post("{}").status(), 200, "meanwhile");
    assert_eq!(wire.message().expect("an answer").status(), 401);
    let held = begun.elapsed();
    assert!(held >= WAIT, "{held:?}");
    // The clock of the daemon goes on, and so does the next one.
    agent.clock.advance(Duration::from_secs(1));
    assert_eq!(wire.ask(guess(0)).status(), 401);
    assert_eq!(up.seen().text(), "{}");
    assert!(!up.was_asked());
}

#[test]
fn se_per_os_user_state_a_directory_of_somebody_else_or_open_to_others_starts_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let state = home.path().join("state");
    std::fs::create_dir(&state).expect("a directory");
    std::fs::write(state.join("config.toml"), "[store]\nkind = \"file\"\n").expect("a file");
    std::fs::write(state.join("notes.txt"), "").expect("a file");
    let start = || {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_doorward"));
        serve.env_clear().env("HOME", home.path());
        serve
            .arg("--state-dir")
            .arg(&state)
            .args(["serve", "--port", "0"]);
        serve.output().expect("it ends")
    };
    for mode in [0o777, 0o770, 0o707, 0o755, 0o750] {
        open(&state, mode);
        let refused = start();
        assert!(!refused.status.success());
        assert!(
            said(&refused).contains("can be used by others"),
            "{}",
            said(&refused)
        );
    }
    assert!(!state.join("store.redb").exists());
    if can_be_another() {
        open(&state, 0o700);
        chown(&state, Some(NOBODY), Some(NOBODY)).expect("root may");
        let refused = start();
        assert!(!refused.status.success());
        assert!(
            said(&refused).contains("belongs to another user"),
            "{}",
            said(&refused)
        );
        chown(&state, Some(0), Some(0)).expect("root may");
    }
    std::fs::remove_file(state.join("notes.txt")).expect("it is ours");
    open(&state, 0o700);
    for secret in ["store.key", "store.redb"] {
        std::fs::write(state.join(secret), "").expect("a file");
        open(&state.join(secret), 0o644);
        let refused = start();
        assert!(!refused.status.success(), "{secret}");
        assert!(said(&refused).contains(secret), "{}", said(&refused));
        std::fs::remove_file(state.join(secret)).expect("it is ours");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn se_memory_and_files_the_memory_is_neither_dumped_nor_read() {
    if !can_be_another() {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let state = home.path().join("state");
    let mut serve = as_nobody(env!("CARGO_BIN_EXE_doorward"));
    serve.env_clear().env("HOME", home.path());
    serve.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    serve.env("DOORWARD_STORE_KIND", "file");
    serve.arg("--state-dir").arg(&state);
    serve.args(["serve", "--port", "0", "--until-eof"]);
    serve.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = serve.spawn().expect("it starts");
    // It says so once it is past its start.
    let log = BufReader::new(child.stderr.take().expect("piped"));
    let mut lines = log.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("listening")));
    let pid = child.id();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    // The files of a process that others may not trace belong to root.
    let memory = std::fs::metadata(format!("/proc/{pid}/mem")).expect("it runs");
    let traced = as_nobody("cat")
        .arg(format!("/proc/{pid}/environ"))
        .output();
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert_eq!(memory.uid(), 0);
    assert!(!traced.expect("cat").status.success());
}
