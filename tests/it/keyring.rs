//! The store against a real Secret Service in each state it can be in (decision D5, rule TL-31).
//!
//! The session bus is named by an environment variable, and a process does not change its own:
//! so each scenario starts a private bus and runs its steps, which are the ignored tests below,
//! in processes of their own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use doorward::clock::{SystemClock, SystemRandom};
use doorward::model::id::SessionId;
use doorward::model::record::{SessionOrigin, SessionRecord, StoreKind};
use doorward::model::secret::TokenDigest;
use doorward::model::session::{Grant, SessionPolicy};
use doorward::model::time::Timestamp;
use doorward::paths::{Environment, Paths};
use doorward::store::{Health, KeyCheck, KeyPlace, Store, StoreError, StoreStatus};
use secret_service::EncryptionType;
use secret_service::blocking::SecretService;

use crate::support::alone::{alone, pass};
use crate::support::dbus::{Bus, Start};

const STATE: &str = "TEST_STATE_DIR";
const SERVICE: &str = "doorward-test";

fn step(name: &str, bus: &Bus, state: &str) {
    let mut command = alone(&format!("keyring::{name}"));
    command
        .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
        .env(STATE, bus.dir(state));
    pass(&mut command);
}

fn step_without_a_bus(name: &str, bus: &Bus, state: &str) {
    let mut command = alone(&format!("keyring::{name}"));
    command
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env("XDG_RUNTIME_DIR", "/nonexistent")
        .env(STATE, bus.dir(state));
    pass(&mut command);
}

#[test]
fn an_open_keyring_keeps_the_key_and_no_file_does() {
    let mut bus = Bus::start();
    bus.start_keyring(Start::Unlocked);
    step("step_opens_in_the_keyring", &bus, "state");
    step("step_opens_in_the_keyring", &bus, "state");
    step("step_probe_says_ok", &bus, "state");
}

#[test]
fn tl_keyring_unavailable_a_locked_keyring_is_an_error_and_opens_after_unlocking() {
    let mut bus = Bus::start();
    bus.start_keyring(Start::Unlocked);
    step("step_opens_in_the_keyring", &bus, "state");
    bus.stop_keyring();

    bus.start_keyring(Start::Locked);
    step("step_says_locked", &bus, "state");
    step("step_says_locked", &bus, "fresh");
    bus.stop_keyring();

    bus.start_keyring(Start::Unlocked);
    step("step_opens_in_the_keyring", &bus, "state");
    step("step_opens_in_the_keyring", &bus, "fresh");
}

#[test]
fn tl_keyring_unavailable_a_service_without_a_keyring_asks_nobody_for_a_password() {
    let mut bus = Bus::start();
    bus.start_keyring(Start::Locked);
    step("step_says_no_collection", &bus, "state");
}

#[test]
fn tl_keyring_unavailable_without_a_service_the_key_is_a_file_unless_told_otherwise() {
    let bus = Bus::start();
    for name in [
        "step_says_absent_where_the_keyring_was_asked_for",
        "step_opens_in_a_file_and_says_so",
    ] {
        step(name, &bus, "without a service");
        step_without_a_bus(name, &bus, "without a bus");
    }
}

#[test]
#[ignore = "waits as long as a keyring may take"]
fn tl_keyring_unavailable_a_keyring_that_never_answers_is_slow() {
    let mut bus = Bus::start();
    bus.start_keyring(Start::Unlocked);
    bus.freeze_keyring();
    step("step_says_slow", &bus, "state");
}

#[test]
fn a_keyring_that_lost_the_key_is_an_error_and_not_a_first_run() {
    let mut bus = Bus::start();
    bus.start_keyring(Start::Unlocked);
    step("step_opens_in_the_keyring", &bus, "state");
    bus.stop_keyring();
    bus.remove_keyrings();
    bus.start_keyring(Start::Unlocked);
    step("step_says_the_key_is_missing", &bus, "state");
}

#[test]
fn an_item_that_another_program_deletes_is_put_back() {
    let mut bus = Bus::start();
    bus.start_keyring(Start::Unlocked);
    step("step_puts_a_deleted_item_back", &bus, "state");
    step("step_opens_in_the_keyring", &bus, "state");
}

fn paths() -> Paths {
    let state = std::env::var_os(STATE).expect("run by another test");
    Paths::resolve(Some(&PathBuf::from(state)), &Environment::default()).expect("a path")
}

async fn open(kind: StoreKind) -> Result<Store, StoreError> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Store::open(&paths(), kind, SERVICE, clock, random).await
}

fn session() -> SessionRecord {
    SessionRecord {
        id: SessionId::from_random(1),
        digest: TokenDigest([1; 32]),
        later: Vec::new(),
        label: None,
        client: None,
        origin: SessionOrigin::Mint,
        grant: Grant::All,
        policy: SessionPolicy::default(),
        minted: Timestamp::MIN,
        last_used: Timestamp::MIN,
        calls: 0,
        bound: None,
        ended: None,
    }
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_opens_in_the_keyring() {
    let existed = paths().store.exists();
    let store = open(StoreKind::Auto).await.expect("opens");
    assert_eq!(store.status().await, StoreStatus::ok(KeyPlace::Keyring));
    let sessions = store.sessions().await.expect("read");
    assert!(sessions.is_empty() || existed && sessions == [session()]);
    store.put_session(session()).await.expect("kept");
    assert_eq!(store.check_key().await, Ok(KeyCheck::Intact));
    store.close().await.expect("closed");
    assert!(!paths().key.exists());
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_probe_says_ok() {
    let status = doorward::store::probe_keyring(SERVICE, &SystemRandom).await;
    assert_eq!(status, StoreStatus::ok(KeyPlace::Keyring));
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_says_locked() {
    for kind in [StoreKind::Auto, StoreKind::Keyring] {
        let error = open(kind).await.expect_err("locked");
        assert_eq!(error, StoreError::Locked);
    }
    assert!(!paths().key.exists(), "never a reason to fall back");
    let status = doorward::store::probe_keyring(SERVICE, &SystemRandom).await;
    assert_eq!(status.health, Health::Locked);
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_says_no_collection() {
    let error = open(StoreKind::Auto).await.expect_err("no collection");
    assert_eq!(error, StoreError::NoCollection);
    assert_eq!(error.health(), Health::Refused);
    assert!(!paths().key.exists(), "never a reason to fall back");
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_says_slow() {
    let error = open(StoreKind::Auto).await.expect_err("no answer");
    assert_eq!(error.health(), Health::Slow);
    let again = open(StoreKind::Auto).await.expect_err("still none");
    assert_eq!(again.health(), Health::Slow);
    assert!(!paths().key.exists(), "never a reason to fall back");
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_says_absent_where_the_keyring_was_asked_for() {
    let error = open(StoreKind::Keyring).await.expect_err("no service");
    assert_eq!(error.health(), Health::Absent, "{error}");
    assert!(error.remedy().is_some());
    assert!(!paths().key.exists());
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_opens_in_a_file_and_says_so() {
    let store = open(StoreKind::Auto).await.expect("opens");
    let status = store.status().await;
    assert_eq!(status.kind, Some(KeyPlace::File));
    assert!(status.is_ok() && status.notice.is_some());
    assert!(paths().key.exists());
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_says_the_key_is_missing() {
    let error = open(StoreKind::Auto).await.expect_err("no key");
    let place = KeyPlace::Keyring;
    assert_eq!(error, StoreError::KeyMissing { place });
}

#[tokio::test]
#[ignore = "a step of the scenarios above"]
async fn step_puts_a_deleted_item_back() {
    let store = open(StoreKind::Auto).await.expect("opens");
    store.put_session(session()).await.expect("kept");
    let deleted = std::thread::spawn(|| {
        let secrets = SecretService::connect(EncryptionType::Plain).expect("a service");
        let ours = HashMap::from([("service", SERVICE)]);
        let found = secrets.search_items(ours).expect("searched");
        for item in &found.unlocked {
            item.delete().expect("deleted");
        }
        found.unlocked.len()
    });
    assert_eq!(deleted.join().expect("no panic"), 1);
    assert_eq!(store.check_key().await, Ok(KeyCheck::Restored));
    store.close().await.expect("closed");
}
