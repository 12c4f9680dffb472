//! `service` with a real systemd: the manager of a user, in namespaces of its own, which keeps a
//! daemon with a real sign-in.
//!
//! It needs root, for the namespaces and a control group, and systemd, which need not have booted
//! this machine. Where one of them is missing the test says so and is passed over.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use super::{pid, under};
use crate::support::alone::{alone, pass, told};
use crate::support::parts::{Agent, Daemon, signed_in};

const SYSTEMD: &str = "/lib/systemd/systemd";

/// Runs its arguments where a manager sees nothing but what it starts, and can move nothing else
/// between control groups: in a control group of its own, and in namespaces that begin there.
const APART: &str = r#"
groups=/sys/fs/cgroup
[ ! -e "$groups/unified/cgroup.controllers" ] || groups="$groups/unified"
own="$groups/doorward-test-$$"
mkdir "$own" || exit 125
sh -c '
    echo $$ > "$0/cgroup.procs" || exit 125
    exec unshare --mount --cgroup --pid --fork --kill-child --mount-proc "$@"
' "$own" sh -c '
    mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit 125
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 125
    exec "$@"
' sh "$@"
code=$?
find "$own" -depth -type d -exec rmdir {} \; 2>/dev/null
exit $code
"#;

fn apart(command: &Command) -> Command {
    let mut apart = Command::new("sh");
    apart.args(["-c", APART, "sh"]).arg(command.get_program());
    apart.args(command.get_args()).stdin(Stdio::null());
    apart
}

#[test]
fn a_service_of_a_real_systemd_keeps_every_sign_in_and_session() {
    let possible = apart(&Command::new("true")).output();
    let possible = possible.is_ok_and(|output| output.status.success());
    if !possible || !Path::new(SYSTEMD).exists() {
        eprintln!("passed over: it needs root, namespaces and systemd");
        return;
    }
    let inner = alone("restarts::systemd::under_a_manager");
    pass(&mut apart(&inner));
}

/// The manager of a user whose home is that of a daemon.
struct Manager {
    runtime: PathBuf,
    processes: Vec<Child>,
}

impl Manager {
    fn start(home: &Path) -> Self {
        let runtime = home.join("run");
        std::fs::create_dir(&runtime).expect("a directory");
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&runtime, private).expect("ours");
        let ready = UnixDatagram::bind(runtime.join("ready")).expect("a socket");
        let mut manager = Self {
            runtime,
            processes: Vec::new(),
        };
        let address = format!("--address={}", manager.bus());
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address", &address]);
        let mut bus = bus.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let said = bus.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).expect("a line");
        manager.processes.push(bus);
        let log = std::fs::File::create(home.join("systemd.log")).expect("a file");
        let mut systemd = Command::new(SYSTEMD);
        systemd.args(["--user", "--log-target=console"]);
        systemd.env_clear().env("HOME", home);
        systemd.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        systemd.env("NOTIFY_SOCKET", manager.runtime.join("ready"));
        systemd.env("DOORWARD_LOG", "trace");
        manager.surround(&mut systemd);
        systemd.stdin(Stdio::null()).stdout(Stdio::null());
        manager
            .processes
            .push(systemd.stderr(log).spawn().expect("it starts"));
        let mut message = [0; 4096];
        loop {
            let length = ready.recv(&mut message).expect("it tells");
            if String::from_utf8_lossy(&message[..length]).contains("READY=1") {
                return manager;
            }
        }
    }

    fn bus(&self) -> String {
        format!("unix:path={}/bus", self.runtime.display())
    }

    /// Where commands find it.
    fn surround(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus());
    }

    /// A command of `program`, which must end with `code`.
    fn says(&self, daemon: &Daemon, program: &Path, arguments: &[&str], code: i32) -> String {
        let mut command = daemon.command_of(program);
        self.surround(&mut command);
        let output: Output = command.args(arguments).output().expect("it runs");
        let said = told(&output);
        let log = daemon.state().join("doorward.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {said}\n{log}"
        );
        said
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The service's program, replaced as a package manager does it.
fn replaced(program: &Path) {
    let newer = super::succession::edition(program.parent().expect("a folder"), "newer", true);
    std::fs::rename(newer, program).expect("ours");
}

#[test]
#[ignore = "runs apart, for the test above"]
fn under_a_manager() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({}));
    let agents: Vec<Agent> = (0..4).map(|_| daemon.agent("before")).collect();
    let home = daemon.state().parent().expect("a home").to_owned();
    let port = daemon.url.rsplit(':').next().expect("a port");
    daemon.configure(&format!("[server]\nport = {port}"));
    let manager = Manager::start(&home);
    let program = super::succession::edition(&home, "doorward", false);
    let says =
        |daemon: &Daemon, arguments: &[&str], code| manager.says(daemon, &program, arguments, code);
    // Calls go on without a pause, and all of them are answered by the upstream, except for those
    // that were under way when their process was killed: it takes its connections with it.
    let dying = AtomicBool::new(false);
    let called = |daemon: &Daemon, agent| {
        let excused = dying.load(Ordering::SeqCst);
        daemon.try_echo(agent) || excused
    };
    let calling = |daemon: &Daemon, work: &mut dyn FnMut()| {
        let before = pid(daemon);
        let calls = agents.iter().map(|agent| || called(daemon, agent));
        let (answered, lost) = under(calls.collect(), work);
        assert!(answered > 0, "somebody called");
        assert_eq!(lost, 0, "of {answered}");
        assert_ne!(pid(daemon), before, "another process");
    };

    says(&daemon, &["service", "install", "-y"], 0);
    daemon.forget();
    assert!(daemon.try_echo(&agents[0]), "as before");
    says(&daemon, &["service", "status"], 0);
    authority.tell("/clear", &json!({}));

    authority.tell("/expire-access-tokens", &json!({}));
    calling(&daemon, &mut || {
        says(&daemon, &["service", "restart", "-y"], 0);
    });
    // systemd starts it again.
    let id = pid(&daemon).as_i64().expect("a number");
    let id = Pid::from_raw(id.try_into().expect("a pid")).expect("not zero");
    dying.store(true, Ordering::SeqCst);
    calling(&daemon, &mut || {
        kill_process(id, Signal::KILL).expect("ours");
        // What a signal ends goes on until its processors hear of it, and may take one more call.
        while test_kill_process(id).is_ok() {
            std::thread::yield_now();
        }
        dying.store(false, Ordering::SeqCst);
        assert!(daemon.try_echo(&agents[0]), "who knocks waits in the queue");
    });
    // An upgrade: another program in the same place, and `up`.
    calling(&daemon, &mut || {
        replaced(&program);
        let said = says(&daemon, &["up"], 0);
        assert!(said.contains("went on where"), "{said}");
    });
    let presented = authority.ask("/log");
    let presented = presented.as_array().expect("a list");
    let spent = presented.iter().filter(|one| one["already_used"] == true);
    assert_eq!(spent.count(), 0, "{presented:?}");

    says(&daemon, &["down", "-y"], 0);
    says(&daemon, &["service", "status"], 3);
    assert!(!daemon.try_echo(&agents[0]), "nobody listens");
    says(&daemon, &["up"], 0);
    assert!(daemon.try_echo(&agents[0]));
    let said = says(&daemon, &["service", "uninstall", "-y"], 0);
    assert!(said.contains("are kept"), "{said}");
    let units = home.join(".config/systemd/user");
    let left = std::fs::read_dir(units).expect("it is there").count();
    assert_eq!(left, 0, "no unit is left");
    says(&daemon, &["service", "status"], 5);
    assert!(!daemon.try_echo(&agents[0]), "nobody listens");
    daemon.serve();
    assert!(agents.iter().all(|agent| daemon.try_echo(agent)), "kept");
}
