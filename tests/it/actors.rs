//! Actors that die, that are stopped, and what is done for all of them together.

use std::sync::Arc;
use std::time::Duration;

use doorward::actor::upkeep::{Roll, purge, write_roll};
use doorward::clock::Clock;
use doorward::ledger::{CredentialSource, SessionCell};
use doorward::model::fault::CredentialError;
use doorward::model::id::Generation;
use doorward::model::record::{BoundProcess, EndedBy, SessionRecord};
use doorward::model::session::{Death, SessionPolicy};

use crate::support::provider::World;
use crate::support::records;

fn told(presented: &crate::support::provider::Presented) -> &str {
    &presented.refresh
}

/// A refresh that dies with its actor is repeated once by the successor, with the token that was
/// stored: nothing has replaced it.
#[actix_web::test]
async fn a_manager_that_panics_is_replaced_and_its_waiters_are_answered() {
    let mut world = World::new().await;
    let asked: Vec<_> = (0..20)
        .map(|_| actix_rt::spawn(world.directory.ask(&world.account, None)))
        .collect();
    let first = world.presented().await;
    assert_eq!(told(&first), "refresh-1");
    first.panic();
    let second = world.presented().await;
    assert_eq!(told(&second), "refresh-1");
    second.rotate(2, world.clock.now());
    for answer in asked {
        let held = answer.await.expect("no panic").expect("a credential");
        assert_eq!(held.generation, Generation(2));
    }
    let stored = world.stored().await;
    assert_eq!(stored.refresh.expect("kept").expose(), "refresh-2");
    assert!(
        world.presented.try_recv().is_err(),
        "one refresh served all"
    );
}

#[actix_web::test]
async fn five_deaths_in_a_minute_break_an_account_until_a_reload() {
    let mut world = World::new().await;
    let mut asked = actix_rt::spawn(world.directory.ask(&world.account, None));
    let error = loop {
        tokio::select! {
            presented = world.presented.recv() => presented.expect("asked").panic(),
            answer = &mut asked => break answer.expect("no panic").expect_err("broken"),
        }
    };
    assert!(
        matches!(error, CredentialError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(world.directory.is_broken(&world.account));
    let stored = world.stored().await;
    assert_eq!(stored.refresh.expect("kept").expose(), "refresh-1");

    // What a reload does.
    while world.presented.try_recv().is_ok() {}
    world.directory.forgive();
    let asked = actix_rt::spawn(world.directory.ask(&world.account, None));
    world.presented().await.rotate(2, world.clock.now());
    asked.await.expect("no panic").expect("a credential");
}

/// What was presented is spent, although the answer brought nothing that can be sent.
#[actix_web::test]
async fn a_refresh_token_that_comes_without_an_access_token_is_kept() {
    let mut world = World::new().await;
    let asked = actix_rt::spawn(world.directory.ask(&world.account, None));
    world.presented().await.rotate_only(2);
    // The pause after the failure ends within the patience of the question.
    let again = loop {
        world.clock.advance(Duration::from_secs(1));
        let next = tokio::time::timeout(Duration::from_millis(50), world.presented()).await;
        if let Ok(next) = next {
            break next;
        }
    };
    assert_eq!(told(&again), "refresh-2");
    let stored = world.stored().await;
    assert_eq!(stored.refresh.expect("kept").expose(), "refresh-2");
    again.rotate(3, world.clock.now());
    asked.await.expect("no panic").expect("a credential");
}

/// Two managers of one account would present one token twice.
#[actix_web::test]
async fn a_manager_that_takes_over_waits_for_the_refresh_of_the_one_before() {
    let mut world = World::new().await;
    let asked = actix_rt::spawn(world.directory.ask(&world.account, None));
    let running = world.presented().await;
    world.directory.close_account(&world.account);
    world.directory.open_account(&world.account);
    let again = actix_rt::spawn(world.directory.ask(&world.account, None));
    let status = world.directory.clone();
    let account = world.account.clone();
    let patient =
        actix_rt::spawn(async move { status.send(&account, || doorward::actor::Status).await });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(
        world.presented.try_recv().is_err(),
        "the token is presented once"
    );
    assert!(!patient.is_finished(), "the successor has not begun");
    running.rotate(2, world.clock.now());
    patient.await.expect("no panic").expect("it lives");
    // The successor knows no access token, and presents the one that its predecessor wrote.
    let next = world.presented().await;
    assert_eq!(told(&next), "refresh-2");
    next.rotate(3, world.clock.now());
    again.await.expect("no panic").expect("a credential");
    drop(asked);
}

fn session(world: &World, number: u64) -> Arc<SessionCell> {
    session_of(world, number, None)
}

fn session_of(world: &World, number: u64, bound: Option<BoundProcess>) -> Arc<SessionCell> {
    let (_, record) = records::session(number, world.clock.now());
    let cell = SessionCell::new(SessionRecord { bound, ..record });
    world.directory.deps().ledger.insert(Arc::clone(&cell));
    world.directory.open_session(&cell);
    cell
}

#[actix_web::test]
async fn an_ended_session_can_be_revoked_again_and_goes_when_it_is_old() {
    let world = World::new().await;
    let (ended, kept) = (session(&world, 1), session(&world, 2));
    let revoke = || world.directory.revoke(&ended, EndedBy::Person, None);
    let first = revoke().await.expect("durable");
    assert_eq!(
        revoke().await.expect("durable"),
        first,
        "the end stays as it was"
    );
    let store = &world.directory.deps().store;
    assert_eq!(store.sessions().await.expect("read").len(), 1);

    let keep = world.directory.deps().config.load().sessions.keep_ended;
    world.clock.advance(keep);
    purge(&world.directory).await;
    assert_eq!(
        world.directory.deps().ledger.sessions().len(),
        2,
        "on time is kept"
    );
    world.clock.advance(Duration::from_millis(1));
    purge(&world.directory).await;
    let left = world.directory.deps().ledger.sessions();
    assert_eq!(
        left.iter().map(|cell| cell.id()).collect::<Vec<_>>(),
        [kept.id()]
    );
    assert!(store.sessions().await.expect("read").is_empty());
}

#[actix_web::test]
async fn last_uses_are_written_once() {
    let world = World::new().await;
    let cell = session(&world, 1);
    let store = &world.directory.deps().store;
    store.put_session(cell.record()).await.expect("kept");
    let mut roll = Roll::default();
    write_roll(&world.directory, &mut roll).await;
    world.clock.advance(Duration::from_secs(9));
    cell.touch(world.clock.now()).expect("alive");
    cell.add_call();
    write_roll(&world.directory, &mut roll).await;
    let stored = store.sessions().await.expect("read").remove(0);
    assert_eq!((stored.last_used, stored.calls), (cell.last_used(), 1));
    assert_eq!(roll.len(), 1);
}

/// A live process holds the idle window off and not the others; its end is written without
/// anybody asking.
#[actix_web::test]
async fn a_session_lives_with_its_process_and_its_end_is_durable() {
    let world = World::new().await;
    let mut program = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let process = doorward::process::find(program.id()).expect("it lives");
    let (bound, free) = (
        session_of(&world, 1, Some(process.clone())),
        session(&world, 2),
    );
    world.clock.advance(SessionPolicy::default().idle);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(free.touch(world.clock.now()), Err(Death::Idle));
    bound.touch(world.clock.now()).expect("its process lives");

    program.kill().expect("it ran");
    bound.ended().cancelled().await;
    assert_eq!(bound.touch(world.clock.now()), Err(Death::Revoked));
    let store = &world.directory.deps().store;
    let ending = loop {
        // Each look takes its turn behind what the store was given before.
        let stored = store.sessions().await.expect("read");
        let found = stored.iter().find(|record| record.id == bound.id());
        if let Some(ending) = found.and_then(|record| record.ended.clone()) {
            break ending;
        }
    };
    assert_eq!(
        (ending.death, ending.by),
        (Death::Revoked, EndedBy::ProcessExit)
    );
    program.wait().expect("it ended");

    // Its number may be another program's by now: a session that names it is over at once.
    let late = session_of(&world, 3, Some(process));
    late.ended().cancelled().await;
    assert_eq!(late.ending().expect("set").by, EndedBy::ProcessExit);
}

/// A daemon that stops must not begin what it cannot keep.
#[actix_web::test]
async fn no_refresh_begins_once_the_daemon_stops_and_running_ones_are_kept() {
    let mut world = World::new().await;
    let asked = actix_rt::spawn(world.directory.ask(&world.account, None));
    let running = world.presented().await;
    world.directory.deps().store.end_refreshes();
    // One that left is waited for as well as those that stay.
    world.directory.close_account(&world.account);
    let directory = world.directory.clone();
    let settled = actix_rt::spawn(async move { directory.settle().await });
    running.rotate(2, world.clock.now());
    settled.await.expect("no panic");
    let stored = world.stored().await;
    assert_eq!(stored.refresh.expect("kept").expose(), "refresh-2");
    drop(asked);

    world.directory.open_account(&world.account);
    let refused = world.directory.ask(&world.account, None).await;
    assert!(
        refused.is_err(),
        "nothing is known, and nothing may be asked for"
    );
    assert!(
        world.presented.try_recv().is_err(),
        "no token was presented"
    );
}

/// The sign-out of one sign-in is not that of the next.
#[actix_web::test]
async fn a_sign_out_that_takes_its_time_spares_the_sign_in_that_came_meanwhile() {
    let world = World::new().await;
    let leave = world.hold_revocations();
    let (directory, account) = (world.directory.clone(), world.account.clone());
    let signing_out = actix_rt::spawn(async move {
        let logout = || doorward::actor::Logout {
            local: false,
            client: doorward::actor::ClientFate::Keep,
        };
        directory.send(&account, logout).await
    });
    leave.held().await;
    let mut next = world.stored().await;
    next.refresh = Some(doorward::model::secret::RefreshToken::new("another"));
    let store = &world.directory.deps().store;
    store.put_grant(next).await.expect("kept");
    leave.release();
    signing_out
        .await
        .expect("no panic")
        .expect("it lives")
        .expect("kept");
    let stored = world.stored().await;
    assert_eq!(stored.refresh.expect("kept").expose(), "another");
}

#[actix_web::test]
async fn a_credential_says_for_which_upstream_it_is() {
    let mut world = World::new().await;
    let asked = actix_rt::spawn(world.directory.ask(&world.account, None));
    world.presented().await.rotate(2, world.clock.now());
    let held = asked.await.expect("no panic").expect("a credential");
    assert!(held.is_for("https://mcp.example.com/mcp"));
    assert!(!held.is_for("https://mcp.example.net/mcp"));
}
