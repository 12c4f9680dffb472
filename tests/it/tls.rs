//! Whom connections to upstreams trust, and what they show.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use doorward::model::route::Base;
use doorward::transport::{ForwardError, HyperTransport, Limits, Peer, RequestBody, TlsTrust};
use http::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::support::raw::ok;
use crate::transport::{Client, once, read, request, send};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/support/tls")
        .join(name)
}

/// A server on `localhost` that shows the certificate `name` and wants one in return, or not.
pub(crate) fn tls_server(name: &str, asks_back: bool) -> std::net::SocketAddr {
    let chain = CertificateDer::pem_file_iter(file(&format!("{name}.pem")))
        .expect("a chain")
        .map(|one| one.expect("a certificate"))
        .collect();
    let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if asks_back {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(file("ca.pem")).expect("a root");
        roots.add(root).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let config = Arc::new(builder.with_single_cert(chain, key).expect("a certificate"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            let mut tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
            let mut head = [0; 1024];
            if stream.read(&mut head).is_ok() {
                let _ = stream.write_all(&ok("secret"));
            }
        }
    });
    address
}

async fn get_tls(address: std::net::SocketAddr, trust: TlsTrust) -> Result<String, ForwardError> {
    let base = Base::new(&format!("https://localhost:{}/", address.port())).expect("a URL");
    let client = Client {
        transport: HyperTransport::new(),
        peer: Arc::new(Peer {
            origin: Arc::clone(base.origin()),
            trust,
            egress: doorward::egress::Egress::direct(),
        }),
    };
    let request = request(Method::GET, RequestBody::whole(Bytes::new()));
    let response = send(&client, request, Limits::default()).await?;
    Ok(read(response).await.0)
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn px_tls_verification() {
    let ours = || TlsTrust::with_files(Some(&file("ca.pem")), None);
    let right = tls_server("right", false);
    assert_eq!(get_tls(right, ours()).await.as_deref(), Ok("secret"));
    let unknown_authority = get_tls(right, TlsTrust::of_platform()).await;
    assert!(
        matches!(unknown_authority, Err(ForwardError::Tls(_))),
        "{unknown_authority:?}"
    );
    let another_name = get_tls(tls_server("wrong", false), ours()).await;
    assert!(
        matches!(another_name, Err(ForwardError::Tls(_))),
        "{another_name:?}"
    );
    let plain = once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let no_tls = get_tls(plain.address, ours()).await;
    assert!(matches!(no_tls, Err(ForwardError::Tls(_))), "{no_tls:?}");
    let nothing = TlsTrust::with_files(Some(&file("none.pem")), None);
    let unusable = get_tls(right, nothing).await;
    assert!(
        matches!(unusable, Err(ForwardError::Tls(_))),
        "{unusable:?}"
    );
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn a_client_certificate_is_shown_where_one_is_configured() {
    let strict = tls_server("right", true);
    let own = (file("right.pem"), file("right.key"));
    let root = file("ca.pem");
    let with = TlsTrust::with_files(Some(&root), Some((&own.0, &own.1)));
    assert_eq!(get_tls(strict, with).await.as_deref(), Ok("secret"));
    let without = TlsTrust::with_files(Some(&root), None);
    assert!(get_tls(strict, without).await.is_err());
}
