//! The OAuth client against fake servers on real sockets, and by tables where no socket is needed.

mod answers;
mod device;
mod discovery;
mod documents;
mod hostile;
mod identity;
mod lazy;
mod login;
mod registration;
mod requests;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::metadata::{IssSupport, ServerMetadata};
use super::*;
use crate::clock::{ManualClock, Random};
use crate::http::fake::{Deed, Seen, answer};
use crate::http::{OwnClient, Timeouts, TlsFault, Zone};
use crate::model::fault::TransientCause;
use crate::model::id::{AccountRef, Generation};
use crate::model::record::ClientOrigin;
use crate::model::secret::{ClientSecret, RefreshToken};
use crate::model::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const REDIRECT: &str = "http://127.0.0.1:5177/oauth/callback";

/// Counts up, so that every value differs and a test can be repeated.
struct Counting(std::sync::atomic::AtomicU8);

impl Counting {
    fn new() -> Self {
        Self(std::sync::atomic::AtomicU8::new(1))
    }
}

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let next = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        bytes.fill(next);
    }
}

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}

fn authority() -> (OauthAuthority, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(NOW));
    let client = OwnClient::new(
        Err(TlsFault::NoTrust("a test".to_owned())),
        clock.clone(),
        Timeouts {
            connect: Duration::from_millis(500),
            handshake: Duration::from_millis(100),
            answer: Duration::from_millis(200),
        },
    );
    (
        OauthAuthority::new(client, clock.clone(), Arc::new(Counting::new())),
        clock,
    )
}

fn provider(upstream: Url) -> Provider {
    Provider::discovered(upstream, REDIRECT.to_owned())
}

fn server() -> ServerMetadata {
    ServerMetadata {
        issuer: "https://id.example".to_owned(),
        authorization_endpoint: url("https://id.example/authorize?tenant=7"),
        token_endpoint: url("https://id.example/token"),
        device_endpoint: None,
        registration_endpoint: Some(url("https://id.example/register")),
        revocation_endpoint: None,
        scopes_supported: None,
        auth_methods: None,
        auth_algorithms: None,
        iss: IssSupport::NotAdvertised,
        metadata_documents: false,
        pushed_endpoint: None,
    }
}

fn discovered() -> Discovered {
    Discovered {
        server: server(),
        resource: Some("https://h.example/mcp".to_owned()),
        challenge_scopes: None,
        resource_scopes: None,
        bound: false,
        source: Source::ResourceMetadata,
        trust: Trust::new(Zone::Public, &Pins::default()),
        trail: Vec::new(),
    }
}

fn client(auth: ClientAuth, secret: Option<&str>) -> ClientRecord {
    ClientRecord {
        issuer: "https://id.example".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        client_id: "client one".to_owned(),
        client_secret: secret.map(ClientSecret::new),
        key: None,
        secret_expires: None,
        auth,
        origin: ClientOrigin::Registered,
        management: None,
        created: NOW,
    }
}

fn grant(token_endpoint: &Url, client: ClientRecord) -> GrantRecord {
    GrantRecord {
        account: "h".parse().expect("a name"),
        issuer: "https://id.example".to_owned(),
        token_endpoint: token_endpoint.to_string(),
        revocation_endpoint: None,
        client,
        resource: Some("https://h.example/mcp".to_owned()),
        upstream_url: "https://h.example/mcp".to_owned(),
        scopes: vec!["read".to_owned()],
        refresh: Some(RefreshToken::new("the refresh token")),
        dpop: None,
        generation: Generation(3),
        identity: None,
        signed_in: NOW,
        refreshed: NOW,
        expires: None,
    }
}

/// What a well-behaved server on `base` says about itself.
fn server_document(base: &Url) -> Value {
    let at = |path: &str| base.join(path).expect("a path").to_string();
    json!({
        "issuer": wellknown::origin(base),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "registration_endpoint": at("/register"),
        "revocation_endpoint": at("/revoke"),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
    })
}

fn resource_document(base: &Url, path: &str) -> Value {
    json!({
        "resource": format!("{}{path}", wellknown::origin(base)),
        "authorization_servers": [wellknown::origin(base)],
    })
}

fn not_found() -> Deed {
    answer(404, &[], "not here")
}

fn unauthorized(challenge: &str) -> Deed {
    answer(401, &[("WWW-Authenticate", challenge)], "")
}

fn is_probe(seen: &Seen) -> bool {
    seen.method == "POST" && seen.body.contains("\"initialize\"")
}

fn account() -> AccountRef {
    "h@work".parse().expect("a name")
}
