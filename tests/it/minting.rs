//! Many who ask for a session at the same time.

use std::process::{Child, Stdio};

use crate::support::parts::Daemon;

#[test]
fn no_more_sessions_are_minted_at_once_than_there_may_be() {
    let mut daemon = Daemon::start();
    daemon.kill();
    let config = "[store]\nkind = \"file\"\n[sessions]\nmax = 5\n";
    std::fs::write(daemon.state().join("config.toml"), config).expect("written");
    daemon.serve();
    let mint = |_| {
        let mut command = daemon.command();
        command.args(["session", "mint", "-o", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("it starts")
    };
    let asking: Vec<_> = (0..24).map(mint).collect();
    let ended = asking.into_iter().map(Child::wait_with_output);
    let minted = ended.filter(|ran| ran.as_ref().expect("it ends").status.success());
    assert_eq!(minted.count(), 5);
    let (_, sessions) = daemon.run(&["ctl", "sessions"]);
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(5));
}
