//! A private session bus with a real keyring service on it, for tests that must not touch the
//! keyring of whoever runs them. Everything is killed and removed on drop.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use zbus::blocking::{connection, fdo::DBusProxy};

const SECRETS: &str = "org.freedesktop.secrets";

/// No services to start by themselves: what is on this bus was put there by a test.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=@DIR@</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

/// How a keyring service is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the password of its default keyring, which is made where there is none.
    Unlocked,
    /// Without: what keyrings there are stay locked.
    Locked,
}

/// A session bus of its own, with a home directory of its own.
pub(crate) struct Bus {
    // Before the directory: the processes end before their files go.
    keyring: Option<Process>,
    _daemon: Process,
    address: String,
    home: TempDir,
}

impl Bus {
    /// A bus with no keyring service on it.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let config = home.path().join("bus.conf");
        let listen = home.path().display().to_string();
        std::fs::write(&config, CONFIG.replace("@DIR@", &listen)).expect("written");
        let mut daemon = spawn(
            Command::new("dbus-daemon")
                .arg("--nofork")
                .arg("--print-address")
                .arg("--config-file")
                .arg(&config)
                .stdout(Stdio::piped()),
        );
        let output = daemon.0.stdout.take().expect("piped");
        let mut address = String::new();
        BufReader::new(output)
            .read_line(&mut address)
            .expect("the bus tells its address");
        Self {
            keyring: None,
            _daemon: daemon,
            address: address.trim().to_owned(),
            home,
        }
    }

    /// Where it listens, as `DBUS_SESSION_BUS_ADDRESS` has it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A directory that lives as long as the bus.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Starts gnome-keyring and waits until it is on the bus. Its keyrings outlive it.
    pub(crate) fn start_keyring(&mut self, start: Start) {
        assert!(self.keyring.is_none(), "one keyring at a time");
        let control = self.dir("control");
        std::fs::create_dir_all(&control).expect("made");
        let mut command = Command::new("gnome-keyring-daemon");
        command
            .args(["--foreground", "--components=secrets"])
            .arg("--control-directory")
            .arg(&control)
            .env("HOME", self.home.path())
            .env("XDG_DATA_HOME", self.dir("data"))
            .env("XDG_CONFIG_HOME", self.dir("config"))
            .env("XDG_RUNTIME_DIR", self.home.path())
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if start == Start::Unlocked {
            command.arg("--unlock");
        }
        // Before it starts, so that its coming cannot be missed.
        let connection = connection::Builder::address(self.address.as_str())
            .and_then(connection::Builder::build)
            .expect("the bus answers");
        let bus = DBusProxy::new(&connection).expect("a bus");
        let changes = bus.receive_name_owner_changed().expect("told of changes");
        let mut keyring = spawn(&mut command);
        let mut password = keyring.0.stdin.take().expect("piped");
        if start == Start::Unlocked {
            password.write_all(b"test password").expect("read");
        }
        drop(password);
        for change in changes {
            let change = change.args().expect("well-formed");
            if change.name.as_str() == SECRETS && change.new_owner.is_some() {
                break;
            }
        }
        self.keyring = Some(keyring);
    }

    /// Makes the keyring service stop answering, as one does that waits for a person.
    pub(crate) fn freeze_keyring(&self) {
        let keyring = self.keyring.as_ref().expect("a service");
        let pid = rustix::process::Pid::from_child(&keyring.0);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    }

    /// Kills the keyring service.
    pub(crate) fn stop_keyring(&mut self) {
        self.keyring = None;
    }

    /// Removes every keyring, as if the account were new. The service must not run.
    pub(crate) fn remove_keyrings(&self) {
        assert!(self.keyring.is_none(), "the service would write them again");
        let keyrings = self.dir("data").join("keyrings");
        if keyrings.exists() {
            std::fs::remove_dir_all(keyrings).expect("ours");
        }
    }
}

/// A child that does not outlive its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(command: &mut Command) -> Process {
    let program = command.get_program().display().to_string();
    match command.spawn() {
        Ok(child) => Process(child),
        Err(error) => {
            panic!("these tests need {program} (apt install dbus gnome-keyring): {error}")
        }
    }
}
