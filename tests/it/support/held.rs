//! What a service manager does: it holds the sockets, and starts the program with them.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::parts::Daemon;

/// Puts its standard input and output where `sd_listen_fds(3)` has sockets, and becomes the
/// program.
const BECOME: &str = r#"
exec 3<&0 4<&1 5>&2 0</dev/null 1>/dev/null 2>>"$LOG"
LISTEN_PID=$$ LISTEN_FDS=2 exec "$@" --ready-fd 5
"#;

/// The two sockets.
pub(crate) struct Held {
    pub(crate) agents: OwnedFd,
    pub(crate) control: OwnedFd,
}

impl Held {
    /// An agent port, and the control socket of `daemon`, which does not run.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let agents = TcpListener::bind("127.0.0.1:0").expect("a port");
        let path = daemon.state().join("doorward.sock");
        // A daemon that was killed has left it.
        let _ = std::fs::remove_file(&path);
        let control = UnixListener::bind(&path).expect("a socket");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
        Self {
            agents: agents.into(),
            control: control.into(),
        }
    }

    /// Where the agent port is.
    pub(crate) fn url(&self) -> String {
        let agents = TcpListener::from(copy(&self.agents));
        format!("http://{}", agents.local_addr().expect("its address"))
    }
}

fn copy(socket: impl AsFd) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().expect("a copy")
}

impl Daemon {
    /// The command with another program.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let usual = self.command();
        let mut command = Command::new(program);
        command.env_clear().args(usual.get_args());
        let set = usual
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        command.envs(set);
        command
    }

    /// Starts with sockets that somebody else holds, called `names`.
    pub(crate) fn start_held(&self, held: &Held, names: &str) -> Child {
        let mut usual = self.command();
        usual.env("LISTEN_FDNAMES", names);
        usual.env("LOG", self.state().join("../log"));
        let program = usual.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.env_clear().args(["-c", BECOME, "sh"]).arg(program);
        shell.args(usual.get_args()).arg("serve");
        let set = usual
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        shell.envs(set);
        shell
            .stdin(copy(&held.agents))
            .stdout(copy(&held.control))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    /// The same; waits until it is ready.
    pub(crate) fn serve_held(&mut self, held: &Held) {
        let mut child = self.start_held(held, "agents:control");
        let mut line = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("piped"));
        errors.read_line(&mut line).expect("a line");
        self.child = Some(child);
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}: {}", self.log()));
        ready["url"]
            .as_str()
            .expect("its address")
            .clone_into(&mut self.url);
    }
}
