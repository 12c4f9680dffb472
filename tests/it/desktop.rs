//! Notices on a desktop of the test's own: who must be signed in to, once in an outage.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::json;
use zbus::blocking::connection::{Builder, Connection};
use zbus::zvariant::OwnedValue;

use crate::support::away::{restart, signed_out};
use crate::support::dbus::Bus;
use crate::support::parts::{Agent, Daemon};
use crate::support::raw::WATCHDOG;

/// What shows notices: it tells what it was to show.
struct Desktop(Sender<(String, String)>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Desktop {
    #[expect(clippy::too_many_arguments, reason = "as the specification has it")]
    fn notify(
        &self,
        app: String,
        replaces: u32,
        icon: String,
        title: String,
        text: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        timeout: i32,
    ) -> u32 {
        assert_eq!((app.as_str(), replaces, timeout), ("doorward", 0, -1));
        assert!(!icon.is_empty() && hints.contains_key("category"));
        assert!(actions.is_empty(), "nothing is opened from here");
        let _ = self.0.send((title, text));
        1
    }
}

fn desktop(bus: &Bus) -> (Connection, Receiver<(String, String)>) {
    let (tell, shown) = channel();
    let connection = Builder::address(bus.address())
        .and_then(|it| it.name("org.freedesktop.Notifications"))
        .and_then(|it| it.serve_at("/org/freedesktop/Notifications", Desktop(tell)))
        .and_then(Builder::build);
    (connection.expect("on the bus"), shown)
}

fn told(daemon: &Daemon, agent: &Agent) {
    let call = json!({"name": "echo", "arguments": {"message": "x"}});
    let answer = daemon.call(agent, "tools/call", &call);
    assert!(answer.body.contains("login ev"), "{}", answer.body);
}

fn notify(daemon: &Daemon, on: bool) {
    let path = daemon.state().join("config.toml");
    let config = std::fs::read_to_string(&path).expect("text");
    let (before, after) = if on {
        ("false", "true")
    } else {
        ("true", "false")
    };
    let config = config.replace(&format!("notify = {before}"), &format!("notify = {after}"));
    std::fs::write(&path, config).expect("a file");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
}

#[test]
fn a_person_is_called_once_in_an_outage_and_not_where_that_is_switched_off() {
    let bus = Bus::start();
    let (_desktop, shown) = desktop(&bus);
    let (authority, _upstream, mut daemon) = signed_out();
    let path = daemon.state().join("config.toml");
    let config = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, config + "notify = false\n").expect("a file");
    daemon.variables = vec![("DBUS_SESSION_BUS_ADDRESS", bus.address().to_owned())];
    restart(&mut daemon);
    let agents = ["one", "two"].map(|label| daemon.agent(label));
    told(&daemon, &agents[0]);
    daemon.sign_in(&authority, "ev");
    notify(&daemon, true);
    for _ in 0..2 {
        assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
        for agent in &agents {
            told(&daemon, agent);
            told(&daemon, agent);
        }
        let (title, text) = shown.recv_timeout(WATCHDOG).expect("a notice");
        assert_eq!(title, "ev needs you to sign in");
        assert!(text.contains(&daemon.typed("login ev")), "{text}");
        assert!(text.contains("/login/ev?t="), "{text}");
        daemon.sign_in(&authority, "ev");
    }
    assert!(
        shown.try_recv().is_err(),
        "one for each outage that was to be told"
    );
}
