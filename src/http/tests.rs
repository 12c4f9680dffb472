//! What a fault says about whether the request arrived, on real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use super::fake::{Deed, Fake, answer};
use super::*;
use crate::clock::SystemClock;

fn client() -> OwnClient {
    install_crypto_provider();
    let short = Duration::from_millis(200);
    let timeouts = Timeouts {
        connect: Duration::from_secs(1),
        handshake: short,
        answer: short,
    };
    let tls = client_config(&TlsSettings::default());
    OwnClient::new(tls, Arc::new(SystemClock), timeouts)
}

async fn get(fake: &Fake) -> Result<Answer, TransportFault> {
    let request = Request::get(fake.at("/x?y=z")).reach(Reach::ANYWHERE);
    client().send(request.limit(100)).await
}

async fn said(bytes: &'static str) -> Result<Answer, TransportFault> {
    let fake = Fake::start(move |_, _| Deed::Say(bytes.to_owned())).await;
    get(&fake).await
}

fn lost(result: Result<Answer, TransportFault>) -> Lost {
    match result {
        Err(TransportFault::Lost(lost)) => lost,
        other => panic!("expected a lost answer, got {other:?}"),
    }
}

fn not_sent(result: Result<Answer, TransportFault>) -> NotSent {
    match result {
        Err(TransportFault::NotSent(fault)) => fault,
        other => panic!("expected nothing to be sent, got {other:?}"),
    }
}

#[actix_web::test]
async fn an_answer_comes_with_its_status_fields_and_body() {
    let fake = Fake::start(|_, _| answer(418, &[("X-A", "1"), ("X-A", "2")], "tea")).await;
    let got = get(&fake).await.expect("an answer");
    assert_eq!(got.status, 418);
    assert_eq!(got.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(&got.body[..], b"tea");
    let seen = &fake.seen()[0];
    assert_eq!(seen.target, "/x?y=z");
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    let port = fake.url.port().expect("a port");
    assert_eq!(
        seen.header("host"),
        Some(format!("127.0.0.1:{port}").as_str())
    );
}

#[actix_web::test]
async fn what_was_never_sent_is_told_from_what_may_have_arrived() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = unused.local_addr().expect("an address");
    drop(unused);
    let url: url::Url = format!("http://{address}/").parse().expect("a URL");
    let refused = client()
        .send(Request::get(url).reach(Reach::ANYWHERE))
        .await;
    assert!(matches!(not_sent(refused), NotSent::Connect(_)));

    let fake = Fake::start(|_, _| Deed::Reset).await;
    assert_eq!(lost(get(&fake).await), Lost::Broken);
    let fake = Fake::start(|_, _| Deed::Say(String::new())).await;
    assert_eq!(lost(get(&fake).await), Lost::Broken);
    let fake = Fake::start(|_, _| Deed::Hang).await;
    assert_eq!(lost(get(&fake).await), Lost::TimedOut);
}

#[actix_web::test]
async fn pain_02_a_name_that_nobody_knows_means_that_nothing_was_sent() {
    // Reserved never to exist (RFC 6761 §6.4).
    let url = "https://token.invalid/".parse().expect("a URL");
    let request = Request::get(url).reach(Reach::ANYWHERE);
    let fault = not_sent(client().send(request).await);
    assert_eq!(fault, NotSent::Name("token.invalid".to_owned()));
}

#[actix_web::test]
async fn a_peer_without_tls_is_not_sent_anything() {
    let fake = Fake::start(|_, _| answer(200, &[], "{}")).await;
    let mut url = fake.url.clone();
    url.set_scheme("https").expect("a scheme");
    let result = client()
        .send(Request::get(url).reach(Reach::ANYWHERE))
        .await;
    let fault = not_sent(result);
    assert!(
        matches!(fault, NotSent::Tls(_) | NotSent::Connect(_)),
        "{fault:?}"
    );
    assert!(fake.seen().is_empty());
}

#[actix_web::test]
async fn a_client_without_trust_says_so_and_still_reaches_this_machine() {
    let bare = OwnClient::new(
        Err(TlsFault::NoTrust("none found".to_owned())),
        Arc::new(SystemClock),
        Timeouts::default(),
    );
    let fake = Fake::start(|_, _| answer(204, &[], "")).await;
    let plain = Request::get(fake.url.clone()).reach(Reach::ANYWHERE);
    assert_eq!(bare.send(plain).await.expect("an answer").status, 204);
    let mut url = fake.url.clone();
    url.set_scheme("https").expect("a scheme");
    let fault = not_sent(bare.send(Request::get(url).reach(Reach::ANYWHERE)).await);
    assert!(fault.to_string().contains("tls.ca_file"), "{fault}");
}

#[actix_web::test]
async fn broken_framing_is_never_a_whole_answer() {
    let short = said("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}").await;
    assert_eq!(lost(short), Lost::Broken);
    let unframed = said("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}").await;
    assert_eq!(lost(unframed), Lost::Unframed);
    let interim = said("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(lost(interim.await), Lost::Interim(103));
    assert_eq!(lost(said("SSH-2.0-x\r\n\r\n").await), Lost::Unreadable);

    let old = said("HTTP/1.0 200 OK\r\n\r\n{\"a\":1}")
        .await
        .expect("an answer");
    assert_eq!(&old.body[..], b"{\"a\":1}");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(&said(chunked).await.expect("an answer").body[..], b"{}");
}

#[actix_web::test]
async fn oc_metadata_body_limits() {
    let long = "x".repeat(101);
    let fake = Fake::start(move |_, _| answer(200, &[], &long)).await;
    assert_eq!(lost(get(&fake).await), Lost::TooLarge);
    let right = "x".repeat(100);
    let fake = Fake::start(move |_, _| answer(200, &[], &right)).await;
    assert_eq!(get(&fake).await.expect("an answer").body.len(), 100);
}

#[actix_web::test]
async fn se_discovery_redirects() {
    let fake = Fake::start(|url, _| answer(302, &[("Location", url.as_str())], "")).await;
    assert_eq!(get(&fake).await.expect("an answer").status, 302);
    assert_eq!(fake.seen().len(), 1, "a redirect is not followed");
}

#[actix_web::test]
async fn se_ssrf_connect_time_check() {
    let fake = Fake::start(|_, _| answer(200, &[], "{}")).await;
    let port = fake.url.port().expect("a port");
    for host in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"] {
        let url: url::Url = format!("http://{host}:{port}/").parse().expect("a URL");
        let result = client().send(Request::get(url).reach(Reach::PUBLIC)).await;
        assert!(matches!(not_sent(result), NotSent::Forbidden(_)), "{host}");
    }
    assert!(fake.seen().is_empty());
    let within = Request::get(fake.url.clone()).reach(Reach::from_within(Zone::Host));
    assert_eq!(client().send(within).await.expect("an answer").status, 200);
}

#[actix_web::test]
async fn a_name_is_never_taken_for_this_machine() {
    let zone = async |text: &str| client().zone_of(&text.parse().expect("a URL")).await;
    assert_eq!(zone("http://127.0.0.1:1/").await, Zone::Host);
    assert_eq!(zone("http://localhost:1/").await, Zone::Host);
    assert_eq!(zone("https://10.0.0.1/").await, Zone::Private);
    assert_eq!(zone("https://1.1.1.1/").await, Zone::Public);
    assert_eq!(zone("https://169.254.169.254/").await, Zone::Special);
}

/// A name with one answer after another, the last one for ever; and how often it was asked.
fn changing(answers: Vec<Vec<SocketAddr>>) -> (Names, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let names: Names = Arc::new(move |_, _| {
        let at = count.fetch_add(1, Ordering::SeqCst);
        let found = answers[at.min(answers.len() - 1)].clone();
        async move { Ok(found) }.boxed()
    });
    (names, asked)
}

#[actix_web::test]
async fn se_ssrf_connect_time_check_of_a_name_that_changes_between_two_looks() {
    let fake = Fake::start(|_, _| answer(200, &[], "{}")).await;
    let inside = SocketAddr::from(([127, 0, 0, 1], fake.url.port().expect("a port")));
    let outside = SocketAddr::from(([1, 1, 1, 1], 9));
    let url: url::Url = "http://id.example/".parse().expect("a URL");
    // Outside when its zone is asked for, inside when something is sent.
    let (names, _) = changing(vec![vec![outside], vec![inside]]);
    let client = client().resolving(names);
    let zone = client.zone_of(&url).await;
    assert_eq!(zone, Zone::Public);
    let request = || Request::get(url.clone());
    let result = client.send(request().reach(Reach::from_within(zone))).await;
    assert!(matches!(not_sent(result), NotSent::Forbidden(_)));
    assert!(fake.seen().is_empty());
}

#[actix_web::test]
async fn se_ssrf_connect_time_check_of_the_address_that_is_connected_to() {
    let [taken, other] = [(), ()].map(|()| Fake::start(|_, _| answer(200, &[], "{}")));
    let (taken, other) = (taken.await, other.await);
    let at = |fake: &Fake| SocketAddr::from(([127, 0, 0, 1], fake.url.port().expect("a port")));
    let special = SocketAddr::from(([169, 254, 169, 254], 80));
    let url: url::Url = "http://id.example/".parse().expect("a URL");
    // Among several addresses of one answer, those that are not admitted are passed over; and
    // nobody asks a second time, between the look and the connection.
    let (names, asked) = changing(vec![vec![special, at(&taken)], vec![at(&other)]]);
    let request = Request::get(url).reach(Reach::from_within(Zone::Host));
    let got = client().resolving(names).send(request).await;
    assert_eq!(got.expect("an answer").status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!((taken.seen().len(), other.seen().len()), (1, 0));
}

#[actix_web::test]
async fn an_answer_that_drips_is_waited_for_as_long_as_a_whole_one() {
    let head = "HTTP/1.1 200 OK\r\n";
    for drip in [
        // A body that never comes to its end, one of no length, and a head of no end.
        format!("{head}Content-Length: 90\r\n\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n50\r\n"),
        format!("{head}X: "),
    ] {
        let fake = Fake::start(move |_, _| Deed::Drip(drip.clone())).await;
        assert_eq!(lost(get(&fake).await), Lost::TimedOut);
    }
}
