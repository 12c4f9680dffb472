//! Whether a daemon lives, and how it says how it is.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::add_nobody;
use crate::support::parts::Daemon;

fn signal(daemon: &Daemon, signal: Signal) {
    let child = daemon.child.as_ref().expect("it runs");
    kill_process(Pid::from_child(child), signal).expect("sent");
}

#[test]
fn a_user_signal_writes_the_state_and_ends_nothing() {
    let daemon = Daemon::start();
    add_nobody(&daemon);
    daemon.mint("one");
    signal(&daemon, Signal::USR1);
    let line = loop {
        // A daemon that the signal has ended answers no question.
        assert_eq!(daemon.run(&["ctl", "sessions"]).0, 0, "{}", daemon.log());
        let log = daemon.log();
        if let Some(line) = log.lines().find(|line| line.contains("store_ok")) {
            break line.to_owned();
        }
    };
    let line: Value = serde_json::from_str(&line).expect("a record");
    let fields = &line["fields"];
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(
        (&fields["sessions"], &fields["upstreams"], &fields["states"]),
        (&json!(1), &json!(1), &json!("login 1")),
        "{line}"
    );
}

#[test]
fn nobody_waits_for_a_daemon_that_is_frozen() {
    let daemon = Daemon::start();
    let pid = daemon.child.as_ref().expect("it runs").id().to_string();
    signal(&daemon, Signal::STOP);
    let asked = std::thread::scope(|scope| {
        let ask = |arguments: &'static [&'static str]| {
            let daemon = &daemon;
            scope.spawn(move || daemon.run(arguments))
        };
        let asked = [
            ask(&["up"]),
            ask(&["ctl", "sessions"]),
            ask(&["session", "mint"]),
        ];
        asked.map(|asked| asked.join().expect("it ran"))
    });
    signal(&daemon, Signal::CONT);
    for (code, answer) in asked {
        assert_eq!(
            (code, &answer["error"]["code"]),
            (9, &json!("timed_out")),
            "{answer}"
        );
        let fix = answer["error"]["fix"].as_str().expect("a next step");
        assert!(fix.contains(&format!("kill -CONT {pid}")), "{fix}");
    }
    assert_eq!(daemon.run(&["status"]).0, 0);
}
