use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::key::MasterKey;
use super::*;
use crate::clock::{ManualClock, SystemRandom};
use crate::model::fault::{LoginReason, OauthCode};
use crate::model::id::Generation;
use crate::model::record::{ClientAuth, ClientOrigin, EndedBy, Ending, SessionOrigin};
use crate::model::secret::{ClientSecret, TokenDigest};
use crate::model::session::{Death, Grant, SessionPolicy};
use crate::paths::PathError;

const CANARY: &str = "canary-refresh-token-4f1c";
const CLIENT_CANARY: &str = "canary-client-secret-77aa";

/// A keyring whose state a test sets.
#[derive(Default)]
struct FakeKeyring {
    fault: Mutex<Option<StoreError>>,
    key: Mutex<Option<MasterKey>>,
    forgetful: bool,
}

impl FakeKeyring {
    fn failing(fault: StoreError) -> Arc<Self> {
        Arc::new(Self {
            fault: Mutex::new(Some(fault)),
            ..Self::default()
        })
    }

    fn set_fault(&self, fault: Option<StoreError>) {
        *self.fault.lock().expect("one thread") = fault;
    }

    fn key(&self) -> Option<MasterKey> {
        self.key.lock().expect("one thread").clone()
    }

    fn set_key(&self, key: Option<MasterKey>) {
        *self.key.lock().expect("one thread") = key;
    }
}

impl Keyring for FakeKeyring {
    fn look(&self) -> Result<(), StoreError> {
        self.fault
            .lock()
            .expect("one thread")
            .clone()
            .map_or(Ok(()), Err)
    }

    fn read(&self) -> Result<Option<MasterKey>, StoreError> {
        self.look()?;
        Ok(self.key())
    }

    fn write(&self, key: &MasterKey) -> Result<(), StoreError> {
        self.look()?;
        if !self.forgetful {
            self.set_key(Some(key.clone()));
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), StoreError> {
        self.look()?;
        self.set_key(None);
        Ok(())
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    paths: Paths,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        Self {
            paths: Paths::resolve(Some(&state), &Environment::default()).expect("a path"),
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_000))),
            dir,
        }
    }

    async fn open(&self, kind: StoreKind, keyring: &Arc<FakeKeyring>) -> Result<Store, StoreError> {
        let keyring: Arc<dyn Keyring> = keyring.clone();
        let (clock, random) = (self.clock.clone(), Arc::new(SystemRandom));
        Store::open_with(&self.paths, kind, keyring, clock, random).await
    }

    /// A store with its key in a file.
    async fn file(&self) -> Store {
        let none = FakeKeyring::failing(absent());
        self.open(StoreKind::Auto, &none).await.expect("opens")
    }
}

fn absent() -> StoreError {
    StoreError::Absent("a test".into())
}

fn account(name: &str) -> AccountRef {
    name.parse().expect("a name")
}

fn grant(name: &str, refresh: &str) -> GrantRecord {
    let at = Timestamp::from_millis(1_000);
    GrantRecord {
        account: account(name),
        issuer: "https://as.example".into(),
        token_endpoint: "https://as.example/token".into(),
        revocation_endpoint: None,
        client: client("client-1"),
        resource: None,
        upstream_url: "https://mcp.example/mcp".into(),
        scopes: vec![],
        refresh: Some(RefreshToken::new(refresh)),
        generation: Generation(1),
        identity: None,
        signed_in: at,
        refreshed: at,
        expires: None,
    }
}

fn client(id: &str) -> ClientRecord {
    ClientRecord {
        issuer: "https://as.example".into(),
        redirect_uri: "http://127.0.0.1:5177/oauth/callback".into(),
        client_id: id.into(),
        client_secret: Some(ClientSecret::new(CLIENT_CANARY)),
        secret_expires: None,
        auth: ClientAuth::Basic,
        origin: ClientOrigin::Registered,
        management: None,
        created: Timestamp::MIN,
    }
}

fn session(bits: u64) -> SessionRecord {
    let at = Timestamp::from_millis(1_000);
    SessionRecord {
        id: SessionId::from_random(bits),
        digest: TokenDigest::of(&bits.to_le_bytes()),
        label: Some("label".into()),
        client: None,
        origin: SessionOrigin::Mint,
        grant: Grant::All,
        policy: SessionPolicy::default(),
        minted: at,
        last_used: at,
        calls: 0,
        bound: None,
        ended: None,
    }
}

fn rejected(name: &str) -> SignedOutRecord {
    SignedOutRecord {
        account: account(name),
        reason: LoginReason::Rejected {
            code: OauthCode("invalid_grant".into()),
            at: Timestamp::from_millis(2_000),
            after_lost_answer: false,
        },
    }
}

fn intent(presented: u32) -> RefreshIntent {
    RefreshIntent {
        generation: Generation(1),
        at: Timestamp::from_millis(1_500),
        presented,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o777
}

fn contains(file: &Path, needle: &str) -> bool {
    let content = fs::read(file).expect("a file");
    content
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn tl_storage_confidential() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store
        .put_grant(grant("linear", CANARY))
        .await
        .expect("kept");
    store.put_client(client("client-1")).await.expect("kept");
    store.put_session(session(1)).await.expect("kept");
    store.close().await.expect("closed");

    let Paths { store, key, .. } = &fixture.paths;
    assert_eq!(mode(&fixture.paths.state_dir), 0o700);
    assert_eq!((mode(store), mode(key)), (0o600, 0o600));
    for needle in [CANARY, CLIENT_CANARY, "as.example", "client-1", "label"] {
        assert!(!contains(store, needle), "{needle} stands in the store");
    }
    let key_text = fs::read_to_string(key).expect("text");
    assert!(!contains(store, &key_text));
}

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
async fn tl_rotation_crash_safety() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store
        .put_grant(grant("linear", "rt-1"))
        .await
        .expect("kept");
    let linear = account("linear");
    store.begin_refresh(&linear, intent(1)).await.expect("kept");

    // What a process killed now leaves behind: the file as it is, with nothing closed.
    let after_intent = copy_of(&fixture);
    let rotated = GrantRecord {
        generation: Generation(2),
        ..grant("linear", "rt-2")
    };
    store.put_grant(rotated.clone()).await.expect("kept");
    let after_result = copy_of(&fixture);

    let reopened = after_intent.file().await;
    assert_eq!(
        reopened.grants().await.expect("read"),
        [(grant("linear", "rt-1"), Some(intent(1)))]
    );
    let reopened = after_result.file().await;
    assert_eq!(reopened.grants().await.expect("read"), [(rotated, None)]);
}

/// The files of a store in the middle of its work, as a crash would leave them.
fn copy_of(fixture: &Fixture) -> Fixture {
    let copy = Fixture::new();
    copy.paths.prepare().expect("made");
    for (from, to) in [
        (&fixture.paths.store, &copy.paths.store),
        (&fixture.paths.key, &copy.paths.key),
    ] {
        fs::copy(from, to).expect("copied");
    }
    copy
}

#[tokio::test]
async fn a_new_sign_in_takes_the_intent_and_the_signed_out_record_with_it() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let linear = account("linear");
    store
        .put_grant(grant("linear", "rt-1"))
        .await
        .expect("kept");
    let why = rejected("linear");
    store
        .delete_grant(&linear, why.clone())
        .await
        .expect("done");
    assert_eq!(store.signed_out().await.expect("read"), [why]);
    store.begin_refresh(&linear, intent(2)).await.expect("kept");

    store
        .put_grant(grant("linear", "rt-2"))
        .await
        .expect("kept");
    assert_eq!(store.signed_out().await.expect("read"), []);
    assert_eq!(
        store.grants().await.expect("read"),
        [(grant("linear", "rt-2"), None)]
    );
}

#[tokio::test]
async fn a_rejected_token_deletes_only_the_very_sign_in_it_belongs_to() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let (linear, why) = (account("linear"), rejected("linear"));
    store.put_grant(grant("linear", "new")).await.expect("kept");
    store.put_grant(grant("github", "old")).await.expect("kept");

    let old = RefreshToken::new("old");
    let kept = store
        .delete_grant_if_equal(&linear, &old, why.clone())
        .await;
    assert_eq!(kept, Ok(false));
    assert_eq!(store.grants().await.expect("read").len(), 2);
    assert_eq!(store.signed_out().await.expect("read"), []);

    let new = RefreshToken::new("new");
    let deleted = store
        .delete_grant_if_equal(&linear, &new, why.clone())
        .await;
    assert_eq!(deleted, Ok(true));
    assert_eq!(
        store.grants().await.expect("read"),
        [(grant("github", "old"), None)]
    );
    assert_eq!(store.signed_out().await.expect("read"), [why]);
}

#[tokio::test]
async fn clients_are_kept_by_issuer_and_id() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let elsewhere = ClientRecord {
        issuer: "https://other.example".into(),
        ..client("a")
    };
    store.put_client(client("a")).await.expect("kept");
    store.put_client(client("a")).await.expect("kept");
    store.put_client(elsewhere.clone()).await.expect("kept");
    assert_eq!(store.clients().await.expect("read").len(), 2);
    store
        .delete_client("https://as.example", "a")
        .await
        .expect("done");
    assert_eq!(store.clients().await.expect("read"), [elsewhere]);
}

#[tokio::test]
async fn notes_of_use_never_go_back_and_never_touch_an_ended_session() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let ended = SessionRecord {
        ended: Some(Ending {
            death: Death::Revoked,
            at: Timestamp::from_millis(1_100),
            by: EndedBy::Person,
            reason: None,
        }),
        ..session(2)
    };
    store.put_session(session(1)).await.expect("kept");
    store.put_session(ended.clone()).await.expect("kept");
    let at = Timestamp::from_millis;
    let unknown = SessionId::from_random(99);
    let notes = vec![
        (session(1).id, at(5_000), 3),
        (ended.id, at(9_000), 9),
        (unknown, at(1), 1),
    ];
    store.note_sessions(notes).await.expect("noted");
    let earlier = vec![(session(1).id, at(4_000), 2)];
    store.note_sessions(earlier).await.expect("noted");
    store.close().await.expect("closed");

    let store = fixture.file().await;
    let brought_forward = SessionRecord {
        last_used: at(5_000),
        calls: 3,
        ..session(1)
    };
    let sessions = store.sessions().await.expect("read");
    assert_eq!(sessions, [brought_forward, ended]);
    let ids = sessions.iter().map(|session| session.id).collect();
    store.delete_sessions(ids).await.expect("done");
    assert_eq!(store.sessions().await.expect("read"), []);
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
async fn a_record_that_cannot_be_read_is_told_of_and_kept() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store.put_grant(grant("linear", "rt")).await.expect("kept");
    store.put_grant(grant("github", "rt")).await.expect("kept");
    store.close().await.expect("closed");
    let file = redb::Database::open(&fixture.paths.store).expect("a database");
    let change = file.begin_write().expect("begun");
    let broken = &b"not a sealed record"[..];
    change
        .open_table(db::GRANTS)
        .expect("there")
        .insert("linear", broken)
        .expect("written");
    change.commit().expect("committed");
    drop(file);

    let store = fixture.file().await;
    let grants = store.grants().await.expect("read");
    assert_eq!(grants, [(grant("github", "rt"), None)]);
    let detail = store.status().await.detail.expect("told");
    assert!(detail.starts_with("1 record"), "{detail}");
    store.put_grant(grant("linear", "new")).await.expect("kept");
    assert_eq!(store.status().await.detail, None);
}

#[tokio::test]
async fn one_process_has_the_store_at_a_time_and_a_closed_one_says_so() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let none = FakeKeyring::failing(absent());
    let second = fixture.open(StoreKind::Auto, &none).await.map(drop);
    assert_eq!(second, Err(StoreError::InUse(fixture.paths.store.clone())));
    store.close().await.expect("closed");
    assert_eq!(store.grants().await, Err(StoreError::Closed));
    assert!(!store.status().await.is_ok());
    fixture.open(StoreKind::Auto, &none).await.expect("opens");
}

#[tokio::test]
async fn a_store_in_memory_writes_nothing() {
    let store = Store::in_memory(Arc::new(SystemRandom)).await;
    let store = store.expect("opens");
    store.put_grant(grant("linear", "rt")).await.expect("kept");
    assert_eq!(store.grants().await.expect("read").len(), 1);
    assert_eq!(store.status().await.kind, Some(KeyPlace::Memory));
    assert!(!Path::new("/store.redb").exists());
}
