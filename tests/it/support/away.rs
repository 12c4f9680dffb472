//! Beginnings without a sign-in, and restarts.

use serde_json::json;

use super::parts::{Daemon, Part};

/// A daemon that knows a server nobody has signed in to, and holds no call.
pub(crate) fn signed_out() -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = before(&upstream);
    (authority, upstream, daemon)
}

/// A daemon before `upstream`, which holds no call.
pub(crate) fn before(upstream: &Part) -> Daemon {
    let mut daemon = Daemon::start();
    let (code, added) = daemon.run(&["upstream", "add", "ev", &upstream.url]);
    assert_eq!(code, 0, "{added}");
    let path = daemon.state().join("config.toml");
    let config = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, config + "\n[login]\nhold = \"0s\"\n").expect("a file");
    restart(&mut daemon);
    daemon
}

/// A restart as a person makes it.
pub(crate) fn restart(daemon: &mut Daemon) {
    assert_eq!(daemon.run(&["down"]).0, 0);
    daemon.forget();
    daemon.serve();
}

/// A second upstream beside the one that is signed in to; nothing is there.
pub(crate) fn with_another(daemon: &Daemon) {
    let words = [
        "upstream",
        "add",
        "two",
        "https://two.example/mcp",
        "--auth",
        "none",
    ];
    let (code, added) = daemon.run(&words);
    assert_eq!(code, 0, "{added}");
}
