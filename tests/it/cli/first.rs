//! The first commands of somebody new: on a machine with an open umask, typed twice, and where
//! something is in the way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Home, run};

/// A home in which a daemon may be started; it is stopped at the end.
struct Started(Home);

impl Started {
    fn state(&self) -> std::path::PathBuf {
        self.0.path("state")
    }

    /// A command in a shell with this umask.
    fn under(&self, umask: &str, arguments: &[&str]) -> Command {
        let program = assert_cmd::cargo::cargo_bin("doorward");
        let mut command = Command::new("sh");
        command
            .env_clear()
            .env("HOME", self.0.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DOORWARD_STATE_DIR", self.state())
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        run(self.0.doorward().args(["down", "-y"]));
    }
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn the_first_command_makes_a_directory_that_is_closed_whatever_the_umask() {
    for umask in ["000", "002", "022"] {
        for first in [
            &["config", "init"][..],
            &["upstream", "add", "docs", "https://docs.example/mcp"],
        ] {
            for made_before in [false, true] {
                let home = Started(Home::new());
                if made_before {
                    fs::create_dir(home.state()).expect("made");
                    fs::set_permissions(home.state(), PermissionsExt::from_mode(0o775))
                        .expect("ours");
                }
                let output = home.under(umask, first).output().expect("runs");
                assert!(output.status.success(), "{umask} {first:?}: {output:?}");
                assert_eq!(mode(&home.state()), 0o700, "{umask} {first:?}");
            }
        }
    }
    let home = Started(Home::new());
    home.under(
        "002",
        &["upstream", "add", "docs", "https://docs.example/mcp"],
    )
    .output()
    .expect("runs");
    let config = home.state().join("config.toml");
    let text = fs::read_to_string(&config).expect("written");
    fs::write(&config, format!("server.port = 0\n{text}")).expect("written");
    let output = home.under("002", &["up"]).output().expect("runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn first_commands_at_once_do_not_get_in_each_others_way() {
    let home = Started(Home::new());
    let urls = (0..8).map(|n| format!("https://docs.example/{}", n / 2));
    let commands: Vec<_> = urls
        .enumerate()
        .map(|(n, url)| {
            let name = format!("docs-{}", n / 2);
            home.under("022", &["upstream", "add", &name, &url, "--auth", "none"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starts")
        })
        .collect();
    for command in commands {
        let output = command.wait_with_output().expect("ends");
        assert!(output.status.success(), "{output:?}");
    }
    let listed = run(home.0.doorward().args(["upstream", "list", "-o", "name"]));
    assert_eq!(listed.out, "docs-0\ndocs-1\ndocs-2\ndocs-3\n");
}

#[test]
fn a_start_that_fails_has_the_code_and_the_remedy_of_what_was_in_the_way() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let refused = |prepare: &dyn Fn(&Started), arguments: &[&str]| -> Value {
        let home = Started(Home::new());
        fs::create_dir(home.state()).expect("made");
        fs::set_permissions(home.state(), PermissionsExt::from_mode(0o700)).expect("ours");
        home.0.write("state/config.toml", "server.port = 0\n");
        prepare(&home);
        let ran = run(home.0.doorward().args(arguments).args(["-o", "json"]));
        assert_eq!(ran.code, 1, "{}", ran.out);
        serde_json::from_str::<Value>(&ran.out).expect("one document")["error"].take()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();

    let of_port = |home: &Started| {
        let text = format!("server.port = {port}\n");
        home.0.write("state/config.toml", &text);
    };
    let error = refused(&of_port, &["up"]);
    assert_eq!(error["code"], "port_in_use", "{error}");
    assert!(
        text(&error["message"]).contains(&port.to_string()),
        "{error}"
    );

    let of_store = |home: &Started| {
        let file = home
            .0
            .write("state/store.redb", &"no database ".repeat(999));
        fs::set_permissions(file, PermissionsExt::from_mode(0o600)).expect("ours");
    };
    for command in ["up", "serve"] {
        let error = refused(&of_store, &[command]);
        assert_eq!(error["code"], "store_failed", "{error}");
        let why = text(&error["why"]);
        assert!(why.contains("store.redb is damaged: "), "{error}");
        assert!(text(&error["fix"]).contains("sign in again"), "{error}");
    }

    let of_key = |home: &Started| {
        let file = home.0.write("state/store.key", "x");
        fs::set_permissions(file, PermissionsExt::from_mode(0o644)).expect("ours");
    };
    let error = refused(&of_key, &["up"]);
    assert_eq!(error["code"], "store_failed", "{error}");
    let fix = text(&error["fix"]);
    assert!(
        fix.starts_with("chmod 600 /") && fix.ends_with("/store.key"),
        "{error}"
    );
}

#[test]
fn a_descriptor_that_is_not_open_is_a_bad_argument() {
    let home = Home::new();
    let ran = run(home
        .doorward()
        .args(["serve", "--port", "0", "--ready-fd", "77"]));
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("--ready-fd 77"), "{}", ran.err);
    assert!(!ran.err.contains("see the log"), "{}", ran.err);
}
