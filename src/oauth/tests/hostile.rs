//! Servers that mean harm: what they lead to, and how much of them is listened to.

use super::*;
use crate::http::fake::{Fake, json as reply};

const PRM: &str = "/.well-known/oauth-protected-resource/mcp";
const AS: &str = "/.well-known/oauth-authorization-server";

/// A place in the documents of a server where an address is named.
const NAMED: [&str; 6] = [
    "pointer",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
];

/// A server that names `address` at `place`, and is well-behaved otherwise.
async fn naming(place: &'static str, address: String) -> Fake {
    Fake::start(move |base, seen| match seen.target.as_str() {
        "/mcp" if place == "pointer" => {
            unauthorized(&format!("Bearer resource_metadata=\"{address}\""))
        }
        "/mcp" => unauthorized("Bearer"),
        PRM => {
            let mut document = resource_document(base, "/mcp");
            if place == "issuer" {
                document["authorization_servers"] = json!([address]);
            }
            reply(200, &document)
        }
        AS => {
            let mut document = server_document(base);
            if document.get(place).is_some() && place != "issuer" {
                document[place] = address.as_str().into();
            }
            reply(200, &document)
        }
        _ => not_found(),
    })
    .await
}

async fn discover(fake: &Fake) -> Result<Discovered, DiscoveryFailure> {
    let provider = provider(fake.at("/mcp"));
    authority().0.discover(&provider, &[]).await
}

#[actix_web::test]
async fn se_ssrf_connect_time_check_of_every_address_that_a_server_names() {
    // The server lives on this machine, so it may name this machine; nothing further inside.
    for address in [
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://0xa9fea9fe/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "http://10.0.0.1/",
        "http://id.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "gopher://127.0.0.1:70/_x",
    ] {
        for place in NAMED {
            let fake = naming(place, address.to_owned()).await;
            let Ok(found) = discover(&fake).await else {
                continue;
            };
            assert!(
                !["pointer", "issuer"].contains(&place),
                "{place}: {address}"
            );
            let server = &found.server;
            let kept = [
                Some(&server.authorization_endpoint),
                Some(&server.token_endpoint),
                server.registration_endpoint.as_ref(),
                server.revocation_endpoint.as_ref(),
            ];
            for kept in kept.into_iter().flatten() {
                let literal = kept.host().map(|host| host.to_owned());
                let inside = match literal {
                    Some(url::Host::Ipv4(ip)) => !found.trust.reach(kept).admits(ip.into()),
                    Some(url::Host::Ipv6(ip)) => !found.trust.reach(kept).admits(ip.into()),
                    _ => false,
                };
                // An address that is kept and not admitted is refused when it is connected to.
                assert!(found.trust.admits(kept) || inside, "{place}: {kept}");
            }
        }
    }
}

#[actix_web::test]
async fn se_secret_destination_check_no_secret_is_sent_further_inside() {
    // The address that is connected to decides, however it is written and whenever it is asked.
    for address in [
        "https://169.254.169.254/token",
        "https://[::ffff:a9fe:a9fe]/token",
        "https://2852039166/token",
        "https://[64:ff9b::a9fe:a9fe]/token",
    ] {
        let request = crate::http::Request::get(url(address))
            .reach(crate::http::Reach::from_within(Zone::Special));
        let client = OwnClient::new(
            Err(TlsFault::NoTrust("a test".to_owned())),
            Arc::new(ManualClock::at(NOW)),
            Timeouts::default(),
        );
        let fault = client.send(request).await.expect_err("refused");
        assert!(
            matches!(
                fault,
                crate::http::TransportFault::NotSent(crate::http::NotSent::Forbidden(_))
            ),
            "{address}: {fault:?}"
        );
    }
}

#[actix_web::test]
async fn se_discovery_redirects_of_every_document() {
    let other = Fake::start(|base, _| reply(200, &server_document(base))).await;
    for place in ["/mcp", PRM, AS] {
        for status in [301, 302, 303, 307, 308] {
            let elsewhere = other.at("/stolen").to_string();
            let fake = Fake::start(move |base, seen| match seen.target.as_str() {
                target if target == place => answer(status, &[("Location", &elsewhere)], ""),
                "/mcp" => unauthorized("Bearer"),
                PRM => reply(200, &resource_document(base, "/mcp")),
                AS => reply(200, &server_document(base)),
                _ => not_found(),
            })
            .await;
            let _ = discover(&fake).await;
        }
    }
    assert!(other.seen().is_empty(), "{:?}", other.targets());
}

#[actix_web::test]
async fn oc_metadata_body_limits_of_nested_huge_and_broken_documents() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let keys = "\"k\":0,".repeat(20_000);
    let documents = [
        nested(100_000),
        format!("{{\"issuer\":{}}}", nested(10_000)),
        format!("{{\"x\":\"{}\"}}", "a".repeat(600 << 10)),
        format!("{{{keys}\"issuer\":\"https://id.example\"}}"),
        "{\"issuer\":\"\u{0}\"}".to_owned(),
        "{\"issuer\":1e999999}".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        String::new(),
    ];
    for document in documents {
        for place in ["/mcp", PRM, AS] {
            let document = document.clone();
            let fake = Fake::start(move |base, seen| match seen.target.as_str() {
                target if target == place => answer(200, &[], &document),
                "/mcp" => unauthorized("Bearer"),
                PRM => reply(200, &resource_document(base, "/mcp")),
                AS => reply(200, &server_document(base)),
                _ => not_found(),
            })
            .await;
            let found = discover(&fake).await;
            // The endpoint's own body is not read; of the others nothing is taken.
            assert_eq!(found.is_ok(), place == "/mcp", "{place}: {found:?}");
        }
    }
}

#[actix_web::test]
async fn a_server_that_never_answers_holds_a_discovery_up_for_a_bounded_time() {
    let fake = Fake::start(move |base, seen| match seen.target.as_str() {
        "/mcp" => unauthorized("Bearer"),
        PRM => reply(200, &resource_document(base, "/mcp")),
        _ => Deed::Hang,
    })
    .await;
    let failed = discover(&fake).await.expect_err("no answer").fault;
    assert!(
        matches!(failed, DiscoveryFault::Transient { .. }),
        "{failed:?}"
    );
}

#[actix_web::test]
async fn a_server_that_drips_its_documents_holds_a_discovery_up_for_a_bounded_time() {
    let dripping = async |place: &'static str| {
        let fake = Fake::start(move |base, seen| match seen.target.as_str() {
            target if target == place => {
                let length = "Content-Length: 100000";
                Deed::Drip(format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n{{"))
            }
            "/mcp" => unauthorized("Bearer"),
            PRM => reply(200, &resource_document(base, "/mcp")),
            AS => reply(200, &server_document(base)),
            _ => not_found(),
        })
        .await;
        discover(&fake).await.is_ok()
    };
    // The endpoint's own body is not read.
    let found = futures_util::join!(dripping("/mcp"), dripping(PRM), dripping(AS));
    assert_eq!(found, (true, false, false));
}

#[actix_web::test]
async fn oc_issuer_exact_match_so_that_no_server_speaks_for_another() {
    let victim = Fake::start(|base, seen| match seen.target.as_str() {
        AS => reply(200, &server_document(base)),
        _ => not_found(),
    })
    .await;
    let (origin, token) = (wellknown::origin(&victim.url), victim.at("/token"));
    // It says that it is the victim, and keeps the endpoint that takes the code.
    let liar = {
        let (origin, token) = (origin.clone(), token.to_string());
        Fake::start(move |base, seen| match seen.target.as_str() {
            "/mcp" => unauthorized("Bearer"),
            PRM => reply(200, &resource_document(base, "/mcp")),
            AS => {
                let mut document = server_document(base);
                document["issuer"] = origin.as_str().into();
                document["authorization_endpoint"] = token.replace("/token", "/authorize").into();
                reply(200, &document)
            }
            _ => not_found(),
        })
        .await
    };
    let failed = discover(&liar).await.expect_err("a swap").fault;
    assert!(
        matches!(failed, DiscoveryFault::IssuerMismatch { .. }),
        "{failed:?}"
    );
    // It sends people to the victim: then all endpoints are the victim's own, and the token is
    // asked for the liar's resource, so it is worth nothing at any other.
    let named = {
        let origin = origin.clone();
        naming("issuer", origin).await
    };
    let found = discover(&named).await.expect("a server");
    assert_eq!(found.server.token_endpoint, token);
    assert_eq!(
        found.resource.as_deref(),
        Some(named.at("/mcp").as_str()),
        "the resource is the one that was asked"
    );
}
