//! What a daemon that is killed leaves behind, and that the next one starts on it.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;

use doorward::clock::{SystemClock, SystemRandom};
use doorward::model::id::Generation;
use doorward::model::record::{
    ClientAuth, ClientOrigin, ClientRecord, GrantRecord, RefreshIntent, StoreKind,
};
use doorward::model::secret::RefreshToken;
use doorward::model::time::Timestamp;
use doorward::paths::{DaemonInfo, Environment, InstanceLock, Paths};
use doorward::store::Store;

use crate::support::alone::{alone, told};

const STATE: &str = "TEST_STATE_DIR";

#[tokio::test]
async fn tl_rotation_crash_safety_a_killed_daemon_loses_nothing_it_confirmed() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    let output = alone("crash::step_is_killed_in_the_middle_of_a_refresh")
        .env(STATE, &state)
        .output()
        .expect("it runs");
    assert_eq!(output.status.signal(), Some(9), "{}", told(&output));

    let paths = Paths::resolve(Some(&state), &Environment::default()).expect("a path");
    assert!(paths.socket.exists() && DaemonInfo::read(&paths).is_some());
    let lock = InstanceLock::acquire(&paths).expect("the kernel gave the lock back");
    lock.bind_socket().expect("the stale socket is no obstacle");
    let store = open(&paths).await;
    assert_eq!(
        store.grants().await.expect("read"),
        [(grant(2), Some(intent()))]
    );
}

#[tokio::test]
#[ignore = "a step of the scenario above"]
async fn step_is_killed_in_the_middle_of_a_refresh() {
    let state = PathBuf::from(std::env::var_os(STATE).expect("run by another test"));
    let paths = Paths::resolve(Some(&state), &Environment::default()).expect("a path");
    let lock = InstanceLock::acquire(&paths).expect("free");
    let _listener = lock.bind_socket().expect("a socket");
    let info = DaemonInfo {
        pid: std::process::id(),
        version: "0".into(),
        base_url: "http://127.0.0.1:1".into(),
        socket: paths.socket.clone(),
        started: Timestamp::MIN,
    };
    lock.announce(&info).expect("written");
    let store = open(&paths).await;
    store.put_grant(grant(1)).await.expect("kept");
    store.put_grant(grant(2)).await.expect("kept");
    let account = grant(2).account;
    store.begin_refresh(&account, intent()).await.expect("kept");
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("ours");
    std::future::pending::<()>().await;
}

async fn open(paths: &Paths) -> Store {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let kind = StoreKind::File(None);
    let store = Store::open(paths, kind, "doorward-test", clock, random).await;
    store.expect("opens")
}

fn intent() -> RefreshIntent {
    RefreshIntent {
        generation: Generation(2),
        at: Timestamp::from_millis(7),
        presented: 1,
    }
}

fn grant(generation: u64) -> GrantRecord {
    let at = Timestamp::from_millis(generation);
    GrantRecord {
        account: "linear".parse().expect("a name"),
        issuer: "https://as.example".into(),
        token_endpoint: "https://as.example/token".into(),
        revocation_endpoint: None,
        client: ClientRecord {
            issuer: "https://as.example".into(),
            redirect_uri: "http://127.0.0.1:5177/oauth/callback".into(),
            client_id: "client".into(),
            client_secret: None,
            key: None,
            secret_expires: None,
            auth: ClientAuth::None,
            origin: ClientOrigin::Configured,
            management: None,
            created: at,
        },
        resource: None,
        upstream_url: "https://mcp.example/mcp".into(),
        scopes: vec![],
        refresh: Some(RefreshToken::new(format!("rt-{generation}"))),
        dpop: None,
        generation: Generation(generation),
        identity: None,
        signed_in: at,
        refreshed: at,
        expires: None,
    }
}
