use super::*;

fn service(socket: &str) -> Service {
    let words = [
        "--state-dir",
        "/home/me/.local/state/doorward",
        "--config",
        "/home/me/.config/doorward/config.toml",
        "--socket",
        socket,
    ];
    Service {
        name: name(None),
        program: "/usr/local/bin/doorward".into(),
        flags: words.map(str::to_owned).into(),
        address: "127.0.0.1:5177".parse().expect("an address"),
        socket: socket.into(),
        log: "/home/me/.local/state/doorward/doorward.log".into(),
        drain: Duration::from_secs(10),
    }
}

#[test]
fn the_units_of_systemd_are_those_in_the_repository() {
    let [socket, unit] = systemd::files(&service("/run/user/1000/doorward/doorward.sock"));
    assert_eq!(socket.name, "doorward.socket");
    assert_eq!(socket.text, include_str!("golden/doorward.socket"));
    assert_eq!(unit.name, "doorward.service");
    assert_eq!(unit.text, include_str!("golden/doorward.service"));
}

#[test]
fn the_agent_of_launchd_is_that_in_the_repository() {
    let agent = launchd::file(&service("/Users/me/run/doorward.sock"));
    assert_eq!(agent.name, "dev.doorward.plist");
    assert_eq!(agent.text, include_str!("golden/dev.doorward.plist"));
}

#[test]
fn no_path_is_taken_for_something_else() {
    let mut strange = service("/tmp/a b%h.sock");
    strange.program = "/opt/my \"tools\"/$HOME/100%/doorward".into();
    strange.flags = vec!["--state-dir".into(), "/tmp/<&>".into()];
    let [socket, unit] = systemd::files(&strange);
    assert!(
        socket.text.contains("ListenStream=/tmp/a b%%h.sock\n"),
        "{}",
        socket.text
    );
    let start = "ExecStart=\"/opt/my \\\"tools\\\"/$$HOME/100%%/doorward\" --state-dir \"/tmp/<&>\" serve --log-format json\n";
    assert!(unit.text.contains(start), "{}", unit.text);
    let agent = launchd::file(&strange);
    let word = "<string>/tmp/&lt;&amp;&gt;</string>";
    assert!(agent.text.contains(word), "{}", agent.text);
}

#[test]
fn a_state_directory_has_a_service_of_its_own() {
    let names = [None, Some("/a"), Some("/b")].map(|dir| name(dir.map(Path::new)));
    assert_eq!(names[0], "doorward");
    assert_ne!(names[1], names[2]);
    assert_eq!(names[1], name(Some(Path::new("/a"))));
    assert!(names[1].starts_with("doorward-"));
}

#[test]
fn a_restart_leaves_the_sockets_alone() {
    let restart = systemd::restart("doorward");
    assert_eq!(
        restart.to_string(),
        "systemctl --user restart doorward.service"
    );
    let stop = systemd::stop("doorward").to_string();
    assert_eq!(
        stop,
        "systemctl --user stop doorward.socket doorward.service"
    );
}
