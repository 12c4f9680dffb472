//! `service`: what a service manager is told. It is a script here, since test machines have none
//! for their user; what it is given runs in the tests of held sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use crate::support::parts::{Daemon, Exchange};

/// Writes down what it is asked, and refuses what a file of that name forbids.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/asked"
case "$*" in
*show-environment) [ ! -e "$HOME/unreachable" ] || { echo "Failed to connect to bus" >&2; exit 1; } ;;
*is-active*) [ -e "$HOME/active" ] ;;
esac
"#;

struct Managed {
    daemon: Daemon,
    home: PathBuf,
}

impl Managed {
    fn new() -> Self {
        let daemon = Daemon::start();
        daemon.configure("[server]\nport = 5199");
        let home = daemon.state().parent().expect("a home").to_owned();
        let bin = home.join("bin");
        std::fs::create_dir(&bin).expect("a directory");
        let script = bin.join("systemctl");
        std::fs::write(&script, SYSTEMCTL).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(script, mode).expect("ours");
        Self { daemon, home }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.daemon.command();
        command.env("PATH", format!("{}/bin:{path}", self.home.display()));
        command.args(arguments).arg("-y");
        command.output().expect("it runs")
    }

    fn says(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// What the manager was asked since the last time, without the name of the unit.
    fn asked(&self) -> Vec<String> {
        let file = self.home.join("asked");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(file);
        let name = self.name();
        let lines = text.lines();
        lines
            .map(|line| line.replace("--user ", "").replace(&name, "NAME"))
            .collect()
    }

    fn name(&self) -> String {
        doorward::service::name(Some(&self.daemon.state()))
    }

    fn units(&self) -> [PathBuf; 2] {
        let directory = self.home.join(".config/systemd/user");
        ["socket", "service"].map(|kind| directory.join(format!("{}.{kind}", self.name())))
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_is_shown_installed_started_and_taken_out_again() {
    let mut managed = Managed::new();
    let shown = managed.says(&["service", "install", "--print"], 0);
    assert_eq!(shown, managed.says(&["service", "print"], 0));
    let state = managed.daemon.state();
    for part in [
        "ListenStream=127.0.0.1:5199".to_owned(),
        format!("ListenStream={}/doorward.sock", state.display()),
        format!("ExecStart={}", env!("CARGO_BIN_EXE_doorward")),
        format!("--state-dir {}", state.display()),
    ] {
        assert!(shown.contains(&part), "{part}: {shown}");
    }
    assert!(managed.units().iter().all(|unit| !unit.exists()));
    managed.says(&["service", "status"], 5);
    managed.says(&["service", "restart"], 5);
    managed.asked();

    // The daemon that runs holds the address, and makes way.
    managed.says(&["service", "install"], 3);
    managed.daemon.forget();
    let asked = managed.asked();
    assert!(asked.contains(&"daemon-reload".to_owned()), "{asked:?}");
    let enabled = "enable --now NAME.socket NAME.service".to_owned();
    assert!(asked.contains(&enabled), "{asked:?}");
    for unit in managed.units() {
        let text = std::fs::read_to_string(unit).expect("written");
        assert!(shown.contains(text.trim_end()), "{text}");
    }
    std::fs::write(managed.home.join("active"), "").expect("a file");
    managed.says(&["service", "status"], 0);
    managed.says(&["service", "restart"], 0);
    let restart = "restart NAME.service".to_owned();
    assert!(managed.asked().contains(&restart));
    // `up` leaves it to the manager.
    let said = managed.says(&["up"], 1);
    assert!(said.contains("it ended right after it was ready"), "{said}");
    let start = "start NAME.socket NAME.service".to_owned();
    assert!(managed.asked().contains(&start));

    managed.says(&["service", "uninstall"], 0);
    let disabled = "disable --now NAME.socket NAME.service".to_owned();
    assert!(managed.asked().contains(&disabled));
    assert!(managed.units().iter().all(|unit| !unit.exists()));
    managed.says(&["service", "uninstall"], 5);
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_service_manager_nothing_changes_and_the_way_on_is_said() {
    let managed = Managed::new();
    std::fs::write(managed.home.join("unreachable"), "").expect("a file");
    let said = managed.says(&["service", "install"], 1);
    assert!(said.contains("Failed to connect to bus"), "{said}");
    assert!(said.contains("loginctl enable-linger"), "{said}");
    let next = format!("run: {}\n", managed.daemon.typed("up"));
    assert!(said.contains(&next), "{said}");
    assert!(managed.units().iter().all(|unit| !unit.exists()));
    let health = format!("{}/health", managed.daemon.url);
    assert_eq!(Exchange::get(&health).status, 200, "it still runs");
}
