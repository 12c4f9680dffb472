//! Networks that let nothing out but through a proxy, with an authority of their own and
//! certificates for clients: every step of a sign-in goes the way that calls go.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::support::parts::{Agent, Daemon, Exchange};
use crate::support::raw::{Message, Upstream, answer, ok};

/// ana:pass word
const CREDENTIALS: &str = "Basic YW5hOnBhc3Mgd29yZA==";
const PROXY_USER: &str = "ana:pass%20word";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/support/tls")
        .join(name)
}

/// Servers behind a proxy: names that nobody else can resolve.
struct Corporation {
    proxy: SocketAddr,
    mcp: Upstream,
    id: Upstream,
    tunnels: Arc<Mutex<Vec<String>>>,
}

impl Corporation {
    fn new() -> Self {
        let mcp = Upstream::answering(mcp);
        let id = Upstream::answering(id);
        let tunnels = Arc::new(Mutex::new(Vec::new()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("set");
        let targets = [
            ("mcp.corp.test:443", mcp.address),
            ("id.corp.test:443", id.address),
        ];
        let log = Arc::clone(&tunnels);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let acceptor = acceptor();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(tunnel(stream, acceptor.clone(), targets, Arc::clone(&log)));
                }
            });
        });
        Self {
            proxy,
            mcp,
            id,
            tunnels,
        }
    }

    /// Where tunnels led to since the last look.
    fn tunnels(&self) -> Vec<String> {
        std::mem::take(&mut *self.tunnels.lock().expect("unpoisoned"))
    }

    fn config(&self, user: &str) -> String {
        let tls = |name: &str| file(name).display().to_string();
        format!(
            "[store]\nkind = \"file\"\n[defaults]\nproxy = \"http://{user}@{}\"\n\
             [upstreams.ev]\nurl = \"https://mcp.corp.test/mcp\"\n\
             [upstreams.ev.tls]\nca_file = \"{}\"\nclient_cert = \"{}\"\nclient_key = \"{}\"\n",
            self.proxy,
            tls("corp-ca.pem"),
            tls("corp.pem"),
            tls("corp.key"),
        )
    }
}

/// TLS that wants a certificate of the client.
fn acceptor() -> TlsAcceptor {
    let root = CertificateDer::from_pem_file(file("corp-ca.pem")).expect("a root");
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .expect("a verifier");
    let chain = vec![CertificateDer::from_pem_file(file("corp.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(file("corp.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// The proxy and, behind it, the TLS side of the server that was asked for.
async fn tunnel(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
    targets: [(&'static str, SocketAddr); 2],
    log: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let asked = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let allowed = head.lines().any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization") && value == CREDENTIALS
        })
    });
    if !head.starts_with("CONNECT ") || !allowed {
        let no = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        return stream.write_all(no.as_bytes()).await;
    }
    let Some((_, target)) = targets.iter().find(|(name, _)| *name == asked) else {
        let no = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
        return stream.write_all(no.as_bytes()).await;
    };
    log.lock().expect("unpoisoned").push(asked);
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut tls = acceptor.accept(stream).await?;
    let mut server = TcpStream::connect(target).await?;
    copy_bidirectional(&mut tls, &mut server).await.map(drop)
}

/// An MCP server that takes `canary-access-1` and `canary-access-2`.
fn mcp(request: &Message) -> Vec<u8> {
    if request
        .target()
        .starts_with("/.well-known/oauth-protected-resource")
    {
        let metadata = json!({
            "resource": "https://mcp.corp.test/mcp",
            "authorization_servers": ["https://id.corp.test"],
        });
        return ok(&metadata.to_string());
    }
    match request.field("authorization") {
        Some("Bearer canary-access-1" | "Bearer canary-access-2") => {
            ok(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
        }
        _ => answer("401 Unauthorized", "www-authenticate: Bearer\r\n", ""),
    }
}

/// An authorization server that takes everything.
fn id(request: &Message) -> Vec<u8> {
    let target = request.target();
    let at = |path: &str| format!("https://id.corp.test{path}");
    if target.starts_with("/.well-known/") {
        let metadata = json!({
            "issuer": "https://id.corp.test",
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "registration_endpoint": at("/register"),
            "revocation_endpoint": at("/revoke"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        });
        return ok(&metadata.to_string());
    }
    let body = String::from_utf8_lossy(&request.body);
    match target {
        "/register" => {
            let asked: Value = serde_json::from_slice(&request.body).expect("JSON");
            let client = json!({
                "client_id": "c1", "redirect_uris": asked["redirect_uris"],
                "token_endpoint_auth_method": "none",
            });
            let fields = "content-type: application/json\r\n";
            answer("201 Created", fields, &client.to_string())
        }
        "/token" => {
            let number = if body.contains("refresh_token=") {
                2
            } else {
                1
            };
            let tokens = json!({
                "access_token": format!("canary-access-{number}"), "token_type": "Bearer",
                "expires_in": 3600, "refresh_token": format!("canary-refresh-{number}"),
            });
            ok(&tokens.to_string())
        }
        "/revoke" => ok(""),
        _ => answer("404 Not Found", "", ""),
    }
}

fn serving(config: &str) -> Daemon {
    let daemon = Daemon::start();
    std::fs::write(daemon.state().join("config.toml"), config).expect("written");
    let (code, said) = daemon.run(&["ctl", "reload"]);
    assert_eq!(code, 0, "{said}");
    daemon
}

/// What the browser does, which has a way out of its own.
fn sign_in(daemon: &Daemon) {
    let mut login = daemon
        .command()
        .args(["login", "ev", "--no-browser"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut talk = BufReader::new(login.stderr.take().expect("piped"));
    let mut said = String::new();
    let link = loop {
        let mut line = String::new();
        assert!(
            talk.read_line(&mut line).expect("talk") > 0,
            "no link: {said}"
        );
        if let Some(at) = line.find("http://127.0.0.1") {
            break line[at..].trim().to_owned();
        }
        said += &line;
    };
    let page = Exchange::get(&link);
    let cookie = page.field("set-cookie").expect("a cookie").to_owned();
    let cookie = cookie.split(';').next().expect("a pair");
    let authorize = Url::parse(page.field("location").expect("a way on")).expect("a URL");
    assert_eq!(authorize.host_str(), Some("id.corp.test"));
    let of = |name: &str| {
        let mut pairs = authorize.query_pairs();
        let found = pairs.find(|(known, _)| known == name);
        found.expect("a parameter").1.into_owned()
    };
    let back = format!("{}?code=x&state={}", of("redirect_uri"), of("state"));
    let landed = Exchange::send("GET", &back, &[("cookie", cookie)], "");
    assert_eq!(landed.status, 200, "{}", landed.body);
    let mut rest = String::new();
    talk.read_to_string(&mut rest).expect("talk");
    assert!(login.wait().expect("it ends").success(), "{rest}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_sign_in_and_its_calls_leave_through_the_proxy_with_our_certificate() {
    let corp = Corporation::new();
    let daemon = serving(&corp.config(PROXY_USER));
    sign_in(&daemon);
    let reached = corp.tunnels();
    for name in ["mcp.corp.test:443", "id.corp.test:443"] {
        assert!(reached.iter().any(|target| target == name), "{reached:?}");
    }
    let targets: Vec<_> = corp
        .id
        .all_seen()
        .iter()
        .map(|m| m.target().to_owned())
        .collect();
    for target in [
        "/.well-known/oauth-authorization-server",
        "/register",
        "/token",
    ] {
        assert!(targets.iter().any(|seen| seen == target), "{targets:?}");
    }
    corp.mcp.all_seen();

    let (session, credential) = daemon.mint("test");
    let agent = Agent::known(session, credential);
    let called = daemon.call(&agent, "tools/call", &json!({"name": "x"}));
    assert_eq!(called.status, 200, "{}", called.body);
    assert_eq!(
        corp.mcp.seen().field("authorization"),
        Some("Bearer canary-access-1")
    );
    assert_eq!(corp.tunnels(), ["mcp.corp.test:443"]);
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let called = daemon.call(&agent, "tools/call", &json!({"name": "x"}));
    assert_eq!(called.status, 200, "{}", called.body);
    assert_eq!(
        corp.mcp.seen().field("authorization"),
        Some("Bearer canary-access-2")
    );
    corp.id.all_seen();
    let (code, out) = daemon.run(&["logout", "ev"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(corp.id.seen().target(), "/revoke");

    let shown = daemon.command().args(["config", "show"]).output();
    let shown = String::from_utf8_lossy(&shown.expect("it runs").stdout).into_owned();
    assert!(shown.contains("proxy"), "{shown}");
    for text in [shown, daemon.log()] {
        assert!(
            !text.contains(PROXY_USER) && !text.contains(CREDENTIALS),
            "{text}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_proxy_that_wants_another_password_is_named() {
    let corp = Corporation::new();
    let daemon = serving(&corp.config("ana:wrong"));
    let (code, said) = daemon.run(&["login", "ev", "--no-browser"]);
    assert_ne!(code, 0);
    let text = said.to_string();
    let proxy = format!("proxy {}", corp.proxy);
    assert!(
        text.contains(&proxy) && text.contains("authorization required"),
        "{text}"
    );
    assert!(!text.contains("wrong"), "{text}");
    assert!(corp.tunnels().is_empty());
}
