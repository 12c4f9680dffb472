//! Where the key lives, and what happens when it is not there.

use super::*;
use crate::model::catalogue::Code;

#[tokio::test]
async fn tl_storage_confidential_an_exposed_file_is_refused() {
    let fixture = Fixture::new();
    fixture.file().await.close().await.expect("closed");
    let none = FakeKeyring::failing(absent());
    for file in [&fixture.paths.store, &fixture.paths.key] {
        fs::set_permissions(file, Permissions::from_mode(0o644)).expect("ours");
        let refused = fixture.open(StoreKind::Auto, &none).await.map(drop);
        assert_eq!(
            refused,
            Err(StoreError::Exposed(PathError::Exposed {
                path: file.clone(),
                mode: 0o644,
                directory: false,
            }))
        );
        fs::set_permissions(file, Permissions::from_mode(0o600)).expect("ours");
    }
    fixture.open(StoreKind::Auto, &none).await.expect("opens");
}

#[tokio::test]
async fn tl_keyring_unavailable() {
    let fixture = Fixture::new();
    for fault in [
        StoreError::Locked,
        StoreError::NoCollection,
        StoreError::Refused("no".into()),
        StoreError::Slow {
            waited: KEYRING_DEADLINE,
        },
    ] {
        let keyring = FakeKeyring::failing(fault.clone());
        for kind in [StoreKind::Auto, StoreKind::Keyring] {
            let outcome = fixture.open(kind, &keyring).await.map(drop);
            assert_eq!(outcome, Err(fault.clone()), "never a reason to fall back");
        }
        assert!(!fixture.paths.key.exists());
        keyring.set_fault(None);
        let other = Fixture::new();
        let store = other.open(StoreKind::Auto, &keyring).await.expect("opens");
        assert_eq!(store.status().await, StoreStatus::ok(KeyPlace::Keyring));
    }
    let none = FakeKeyring::failing(absent());
    let asked_for = fixture.open(StoreKind::Keyring, &none).await.map(drop);
    assert_eq!(asked_for, Err(absent()));
    assert!(!fixture.paths.key.exists());
}

#[tokio::test]
async fn without_any_keyring_service_the_key_is_a_file_and_says_so() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let status = store.status().await;
    assert_eq!(status.kind, Some(KeyPlace::File));
    assert!(status.is_ok());
    let notice = status.notice.expect("told");
    assert!(notice.contains(&fixture.paths.key.display().to_string()));
    assert_eq!(mode(&fixture.paths.key), 0o600);
}

#[tokio::test]
async fn the_choice_is_kept_when_the_machine_changes() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store.put_grant(grant("linear", "rt")).await.expect("kept");
    store.close().await.expect("closed");
    let appeared = Arc::new(FakeKeyring::default());
    let store = fixture.open(StoreKind::Auto, &appeared).await;
    let status = store.expect("opens").status().await;
    assert_eq!(status.kind, Some(KeyPlace::File));
    assert!(appeared.key().is_none());

    let other = Fixture::new();
    let store = other.open(StoreKind::Auto, &appeared).await.expect("opens");
    store.close().await.expect("closed");
    appeared.set_fault(Some(absent()));
    let gone = other.open(StoreKind::Auto, &appeared).await.map(drop);
    assert_eq!(gone, Err(absent()), "even with nothing stored yet");
    assert!(!other.paths.key.exists());
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_an_error_once_something_is_sealed() {
    let fixture = Fixture::new();
    let keyring = Arc::new(FakeKeyring::default());
    let open = || fixture.open(StoreKind::Auto, &keyring);
    let store = open().await.expect("opens");
    store.put_session(session(1)).await.expect("kept");
    store.close().await.expect("closed");
    let place = KeyPlace::Keyring;

    let key = keyring.key();
    keyring.set_key(None);
    let missing = open().await.map(drop);
    assert_eq!(missing, Err(StoreError::KeyMissing { place }));
    assert!(keyring.key().is_none(), "no new key");

    keyring.set_key(Some(MasterKey::generate(&SystemRandom)));
    let wrong = open().await.map(drop);
    assert_eq!(wrong, Err(StoreError::KeyWrong { place }));

    keyring.set_key(key);
    let store = open().await.expect("opens");
    assert_eq!(store.sessions().await.expect("read"), [session(1)]);
}

#[tokio::test]
async fn a_key_that_is_not_given_back_is_not_used() {
    let fixture = Fixture::new();
    let keyring = Arc::new(FakeKeyring {
        forgetful: true,
        ..FakeKeyring::default()
    });
    let outcome = fixture.open(StoreKind::Auto, &keyring).await.map(drop);
    assert_eq!(outcome, Err(StoreError::NotKept));
}

#[tokio::test]
async fn a_key_that_another_program_removed_is_put_back() {
    let fixture = Fixture::new();
    let keyring = Arc::new(FakeKeyring::default());
    let store = fixture.open(StoreKind::Auto, &keyring).await;
    let store = store.expect("opens");
    assert_eq!(store.check_key().await, Ok(KeyCheck::Intact));
    let key = keyring.key();
    for intruder in [None, Some(MasterKey::generate(&SystemRandom))] {
        keyring.set_key(intruder);
        assert_eq!(store.check_key().await, Ok(KeyCheck::Restored));
        assert!(keyring.key() == key);
    }
}

#[tokio::test]
async fn another_place_in_the_configuration_is_refused_while_records_depend_on_the_first() {
    let fixture = Fixture::new();
    let keyring = Arc::new(FakeKeyring::default());
    let elsewhere = fixture.dir.path().join("mounted.key");
    let file = StoreKind::File(Some(elsewhere.clone()));
    let store = fixture.open(StoreKind::Auto, &keyring).await;
    store.expect("opens").close().await.expect("closed");
    let store = fixture.open(file.clone(), &keyring).await;
    let store = store.expect("nothing is sealed yet");
    assert_eq!(mode(&elsewhere), 0o600);
    assert_eq!(store.status().await, StoreStatus::ok(KeyPlace::File));
    store.put_session(session(1)).await.expect("kept");
    store.close().await.expect("closed");

    let refused = fixture.open(StoreKind::Keyring, &keyring).await.map(drop);
    assert_eq!(
        refused,
        Err(StoreError::OtherPlace {
            recorded: KeyPlace::File,
            configured: KeyPlace::Keyring,
        })
    );
    let moved: PathBuf = fixture.dir.path().join("moved.key");
    fs::rename(&elsewhere, &moved).expect("moved");
    let place = KeyPlace::File;
    let missing = fixture.open(file, &keyring).await.map(drop);
    assert_eq!(missing, Err(StoreError::KeyMissing { place }));
    let store = fixture.open(StoreKind::File(Some(moved)), &keyring).await;
    store.expect("the file may move");
}

#[tokio::test]
async fn what_is_wrong_with_the_key_has_a_code_and_a_remedy_that_helps() {
    let fixture = Fixture::new();
    let keyring = Arc::new(FakeKeyring::default());
    let open = || fixture.open(StoreKind::Auto, &keyring);
    let store = open().await.expect("opens");
    store.put_session(session(1)).await.expect("kept");
    store.close().await.expect("closed");
    let key = keyring.key();
    for (fault, has_key, code) in [
        (Some(StoreError::Locked), true, Code::KeyringLocked),
        (Some(absent()), true, Code::KeyringUnavailable),
        (Some(StoreError::NoCollection), true, Code::StoreKeyMissing),
        (None, false, Code::StoreKeyMissing),
    ] {
        keyring.set_fault(fault.clone());
        keyring.set_key(key.clone().filter(|_| has_key));
        let error = open().await.map(drop).expect_err("refused");
        let problem = error.problem();
        assert_eq!(problem.code(), code, "{fault:?}");
        let fix = problem.fix().expect("a next step");
        assert!(!fix.contains("kind"), "another place is refused: {fix}");
    }
    keyring.set_fault(Some(absent()));
    let fresh = Fixture::new();
    let error = fresh.open(StoreKind::Keyring, &keyring).await.map(drop);
    let fix = error.expect_err("refused").problem().fix();
    assert!(fix.is_some_and(|fix| fix.contains("kind = \"file\"")));
}
