//! Secrets that must be nowhere: whatever a daemon of any test leaves behind is searched for them
//! when its test ends. It logs at TRACE all that time.
//!
//! What is looked for is what the authorization servers tell that they were sent and have issued,
//! and what has the form of a secret: session credentials, tickets of sign-ins, JWTs, and
//! [`MARK`], with which in-process servers begin theirs. It is looked for in everything that the
//! program wrote: logs of each process, files of the state directory, and what commands said.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::parts::{Daemon, Exchange};

/// What secrets begin with that an in-process server issues.
pub(crate) const MARK: &str = "canary-";

/// Secrets by their form, as an extended regular expression. What is sealed is base64 in the store,
/// where those three characters come up in the midst of others.
const FORMS: &str = r"(^|[^A-Za-z0-9_-])dw_[A-Za-z0-9_-]{30,}|[?]t=[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{16,}[.]|canary-[a-z]+";

/// Shorter ones are words that a test chose, and are found everywhere.
const SHORTEST: usize = 16;

/// What is known in this process, of all of its tests.
struct Known {
    /// Control sides of the authorization servers that run.
    running: BTreeSet<String>,
    /// What those told that have ended.
    issued: BTreeSet<String>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known {
    running: BTreeSet::new(),
    issued: BTreeSet::new(),
});

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An authorization server has started.
pub(crate) fn issuing(control: &str) {
    known().running.insert(control.to_owned());
}

/// It is about to end.
pub(crate) fn ending(control: &str) {
    let issued = told_by(control);
    let mut known = known();
    if known.running.remove(control) {
        known.issued.extend(issued);
    }
}

/// The secrets of one authorization server. One that cannot be asked has ended, and has told
/// before.
fn told_by(control: &str) -> Vec<String> {
    let Some(told) = Exchange::attempt("GET", &format!("{control}/secrets"), &[], "") else {
        return Vec::new();
    };
    let told: Value = serde_json::from_str(&told.body).unwrap_or_default();
    let all = told.as_object().into_iter().flat_map(|all| all.values());
    let all = all.filter_map(Value::as_array).flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Every secret that any authorization server of this process has told of.
fn issued() -> BTreeSet<String> {
    let (running, mut issued) = {
        let known = known();
        (known.running.clone(), known.issued.clone())
    };
    issued.extend(running.iter().flat_map(|control| told_by(control)));
    issued.retain(|secret| secret.len() >= SHORTEST);
    issued
}

/// Lines `file:secret`, one for each secret that is in a file below `directory`. A configuration
/// is what a person wrote, and may hold what that person put there.
pub(crate) fn found(directory: &Path, issued: &BTreeSet<String>) -> Vec<String> {
    let listed: Vec<&str> = issued.iter().map(String::as_str).collect();
    let mut lines = search(directory, &["-E", "-e", FORMS], "");
    if !listed.is_empty() {
        let listed = listed.join("\n");
        lines.extend(search(directory, &["-F", "-f", "/dev/stdin"], &listed));
    }
    lines
}

/// `grep`, since these are megabytes and the tests are built without optimizations.
fn search(directory: &Path, what: &[&str], input: &str) -> Vec<String> {
    let mut grep = Command::new("grep")
        // By bytes: what is sealed is no text of any language.
        .env("LC_ALL", "C")
        .args(["-r", "-a", "-o", "-D", "skip", "--exclude=config.toml*"])
        .args(what)
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("grep starts");
    let mut stdin = grep.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = grep.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "the search failed: {said}");
    let lines: BTreeSet<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.into_iter().collect()
}

impl Daemon {
    /// Where everything is kept that the program wrote elsewhere than into its state directory.
    pub(super) fn written(&self) -> PathBuf {
        self.home.path().join("written")
    }

    /// Keeps what was written, to be searched in the end.
    pub(super) fn keep(&self, text: &[u8]) {
        let file = tempfile::Builder::new().tempfile_in(self.written());
        let kept = file.and_then(|mut file| {
            file.write_all(text)?;
            file.keep().map_err(|error| error.error)
        });
        kept.expect("a file");
    }

    /// Fails the test in which a secret was written, unless it fails already.
    pub(super) fn has_leaked_nothing(&self) {
        if std::thread::panicking() {
            return;
        }
        self.keep(self.log().as_bytes());
        let issued = issued();
        let places = [self.state(), self.written()];
        let lines = places.iter().flat_map(|place| found(place, &issued));
        let lines: Vec<_> = lines.collect();
        assert!(lines.is_empty(), "secrets were written: {lines:#?}");
    }
}

#[test]
fn a_secret_in_any_file_is_found_by_its_form_and_by_what_was_issued() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(inner.join(name), text).expect("a file");
    let token = "L3bQ0-Vt_9aXyZ12mnop34";
    let issued = BTreeSet::from([token.to_owned()]);
    write("clean", "a line\nwith <token>, dw_ and ?t=short\n");
    write("config.toml", token);
    assert_eq!(found(folder.path(), &issued), Vec::<String>::new());
    for leak in [
        format!("{{\"refresh\":\"{token}\"}}"),
        format!("\0binary\u{1}{token}\u{2}"),
        format!("Bearer dw_{}", "a1".repeat(20)),
        format!("/login/ev?t={token}x"),
        "eyJhbGciOiJSUzI1NiIsIng.eyJ".to_owned(),
        format!("{MARK}access-1"),
    ] {
        write("log", &format!("before\n{leak} after\n"));
        let lines = found(folder.path(), &issued);
        assert!(!lines.is_empty(), "{leak:?}");
        assert!(lines.iter().all(|line| line.contains("/log:")), "{lines:?}");
    }
}

/// A program that writes a credential into its log fails the test that it runs in.
#[test]
fn a_daemon_that_writes_a_secret_fails_its_test() {
    let daemon = Daemon::start();
    let (_, credential) = daemon.mint("one");
    std::fs::write(daemon.state().join("leak"), &credential).expect("a file");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(daemon)));
    let said = ended.expect_err("its test fails");
    let said = said.downcast_ref::<String>().expect("a message");
    assert!(said.contains("/state/leak:dw_"), "{said}");
}
