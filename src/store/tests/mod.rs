//! The store with a keyring whose state a test sets; the fixtures of both halves.

mod keys;
mod records;

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
        dpop: None,
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
        key: None,
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
