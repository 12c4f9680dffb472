//! The wall clock jumps while monotonic time stands still, as over a sleep, or is set by somebody.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward::clock::Clock;
use doorward::ledger::CredentialSource;
use doorward::model::id::Generation;
use serde_json::json;

use crate::support::parts::{Daemon, signed_in};
use crate::support::provider::World;

const SLEEP: Duration = Duration::from_hours(48);
const HOUR: Duration = Duration::from_hours(1);
const MINUTES: Duration = Duration::from_mins(5);

/// No timer fires: what is over is over by the wall clock, for those who ask.
#[actix_web::test]
async fn pain_21_the_wall_clock_jumps_while_monotonic_time_stands_still() {
    let mut world = World::new().await;
    let first = actix_rt::spawn(world.directory.ask(&world.account, None));
    world.presented().await.rotate(2, world.clock.now());
    first.await.expect("no panic").expect("a credential");

    world.clock.advance(SLEEP);
    let asked: Vec<_> = (0..8)
        .map(|_| actix_rt::spawn(world.directory.ask(&world.account, None)))
        .collect();
    let presented = world.presented().await;
    assert_eq!(presented.refresh, "refresh-2");
    presented.rotate(3, world.clock.now());
    for answer in asked {
        let held = answer.await.expect("no panic").expect("a credential");
        assert_eq!(held.generation, Generation(3));
    }
    let woken = world.clock.now();
    for now in [woken.minus(HOUR), woken.plus(MINUTES)] {
        world.clock.set(now);
        let held = world.directory.ask(&world.account, None).await;
        assert!(held.is_ok(), "{held:?}");
    }
    assert!(world.presented.try_recv().is_err(), "one refresh for all");
}

/// Where distributions put it.
fn libfaketime() -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let files = folders.map(|folder| Path::new(folder).join("faketime/libfaketime.so.1"));
    files.into_iter().find(|file| file.exists())
}

/// Eight agents call at once; how many were answered by the upstream.
fn eight(daemon: &Daemon, agents: &[crate::support::parts::Agent]) -> usize {
    std::thread::scope(|scope| {
        let calls: Vec<_> = agents
            .iter()
            .map(|agent| scope.spawn(|| daemon.try_echo(agent)))
            .collect();
        let went = calls.into_iter().filter_map(|call| call.join().ok());
        went.filter(|went| *went).count()
    })
}

/// The wall clock of a daemon, which stands as far ahead of the true one as somebody says.
struct Skewed {
    folder: tempfile::TempDir,
}

impl Skewed {
    /// Starts the daemon anew, with a library between it and the clock; `None` where there is none.
    fn of(daemon: &mut Daemon) -> Option<Self> {
        let Some(library) = libfaketime() else {
            eprintln!("passed over: it needs libfaketime");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let skewed = Self { folder };
        skewed.jump(0);
        daemon.kill();
        daemon.variables = vec![
            ("LD_PRELOAD", library.display().to_string()),
            (
                "FAKETIME_TIMESTAMP_FILE",
                skewed.offset().display().to_string(),
            ),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        daemon.serve();
        Some(skewed)
    }

    fn offset(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    fn jump(&self, seconds: u64) {
        std::fs::write(self.offset(), format!("+{seconds}\n")).expect("a file");
    }
}

/// The same with the program as it is.
#[test]
fn pain_21_a_daemon_outlives_every_jump_of_its_wall_clock() {
    let (authority, upstream, mut daemon) = signed_in(&json!({}));
    daemon.configure("[sessions]\nidle = \"72h\"");
    let Some(clock) = Skewed::of(&mut daemon) else {
        return;
    };
    let agents: Vec<_> = (0..8).map(|n| daemon.agent(&n.to_string())).collect();
    let before = authority.count("refresh_requests");
    let asleep = SLEEP.as_secs();
    // The server's tokens live: what is over is over by the clock of the daemon alone.
    for (seconds, refreshes) in [
        (asleep, 1),
        (asleep - HOUR.as_secs(), 1),
        (asleep + MINUTES.as_secs(), 1),
    ] {
        clock.jump(seconds);
        assert_eq!(eight(&daemon, &agents), 8, "{seconds}: {}", daemon.log());
        let asked = authority.count("refresh_requests") - before;
        assert_eq!(asked, refreshes, "after {seconds} s");
        let living = daemon.run(&["ctl", "sessions"]).1["items"].clone();
        assert_eq!(living.as_array().map(Vec::len), Some(8), "{living}");
    }
    assert_eq!(upstream.ask("/tools")["echo"], 24);
}

#[test]
fn a_session_whose_time_was_up_and_that_was_revoked_stays_so_when_the_clock_is_set_back() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let Some(clock) = Skewed::of(&mut daemon) else {
        return;
    };
    let agent = daemon.agent("left alone");
    clock.jump(SLEEP.as_secs());
    // Its time is up for whoever looks, and nobody has written that down.
    let living = daemon.run(&["ctl", "sessions"]).1["items"].clone();
    assert_eq!(living, json!([]));
    let (code, revoked) = daemon.run(&["ctl", "revoke", &agent.id]);
    assert_eq!((code, &revoked["revoked"]), (0, &json!([agent.id])));
    clock.jump(0);
    assert_eq!(eight(&daemon, std::slice::from_ref(&agent)), 0);
    let (_, detail) = daemon.run(&["ctl", "show", &agent.id]);
    assert_eq!(detail["item"]["ended_by"], "person", "{detail}");
}
