//! From an endpoint to its authorization server.

use super::*;
use crate::http::fake::{Fake, json as reply};

const PRM: &str = "/.well-known/oauth-protected-resource";
const AS: &str = "/.well-known/oauth-authorization-server";
const OIDC: &str = "/.well-known/openid-configuration";

async fn discover(provider: &Provider) -> Result<Discovered, DiscoveryFailure> {
    authority().0.discover(provider, &[]).await
}

fn fault(result: Result<Discovered, DiscoveryFailure>) -> DiscoveryFault {
    result.expect_err("a fault").fault
}

/// A server with everything at the usual places, changed by `change`.
async fn usual(change: impl Fn(&Url, &Seen) -> Option<Deed> + 'static) -> Fake {
    Fake::start(move |base, seen| {
        if let Some(deed) = change(base, seen) {
            return deed;
        }
        match seen.target.as_str() {
            "/mcp" => unauthorized("Bearer realm=\"mcp\""),
            target if target == format!("{PRM}/mcp") => {
                reply(200, &resource_document(base, "/mcp"))
            }
            AS => reply(200, &server_document(base)),
            _ => not_found(),
        }
    })
    .await
}

#[actix_web::test]
async fn oc_prm_from_header_only() {
    let fake = usual(|base, seen| match seen.target.as_str() {
        "/mcp" => {
            assert!(is_probe(seen));
            assert_eq!(seen.header("authorization"), None);
            let pointer = format!("Bearer resource_metadata=\"{base}meta?v=1\", scope=\"a b\"");
            Some(unauthorized(&pointer))
        }
        "/meta?v=1" => Some(reply(200, &resource_document(base, "/mcp"))),
        _ => None,
    })
    .await;
    let found = discover(&provider(fake.at("/mcp")))
        .await
        .expect("a server");
    assert_eq!(fake.targets(), ["/mcp", "/meta?v=1", AS]);
    assert_eq!(found.server.issuer, wellknown::origin(&fake.url));
    assert_eq!(
        found.challenge_scopes,
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    let outcomes: Vec<_> = found.trail.iter().map(|step| &step.outcome).collect();
    assert_eq!(outcomes, [&StepOutcome::Found; 3]);

    // The pointer is the only place that is asked, also when nothing is there.
    let fake = usual(|_, seen| {
        (seen.target == "/mcp").then(|| unauthorized("Bearer resource_metadata=\"/gone\""))
    })
    .await;
    let failed = fault(discover(&provider(fake.at("/mcp"))).await);
    assert_eq!(failed, DiscoveryFault::NoResourceMetadata);
    assert_eq!(fake.targets(), ["/mcp", "/gone"]);
}

#[actix_web::test]
async fn oc_prm_fallback_order() {
    let fake = usual(|base, seen| match seen.target.as_str() {
        target if target == format!("{PRM}/mcp") => Some(not_found()),
        PRM => Some(reply(200, &resource_document(base, ""))),
        _ => None,
    })
    .await;
    let found = discover(&provider(fake.at("/mcp")))
        .await
        .expect("a server");
    let path = format!("{PRM}/mcp");
    assert_eq!(fake.targets(), ["/mcp", path.as_str(), PRM, AS]);
    assert_eq!(
        found.resource,
        Some(wellknown::origin(&fake.url)),
        "oc_resource_equals_prm_resource: byte for byte, without a slash"
    );
    let text: Vec<String> = found.trail.iter().map(ToString::to_string).collect();
    assert!(text[0].ends_with("401, without a pointer"), "{text:?}");
    assert!(text[1].ends_with("404"), "{text:?}");
}

#[actix_web::test]
async fn an_endpoint_that_answers_without_a_challenge_is_looked_up_all_the_same() {
    let fake = usual(|_, seen| (seen.target == "/mcp").then(|| answer(200, &[], "{}"))).await;
    assert!(discover(&provider(fake.at("/mcp"))).await.is_ok());
}

#[actix_web::test]
async fn oc_prm_resource_mismatch_starts_nothing() {
    let fake = usual(|base, seen| {
        let mut document = resource_document(base, "/mcp");
        document["resource"] = "https://elsewhere.example/mcp".into();
        seen.target.starts_with(PRM).then(|| reply(200, &document))
    })
    .await;
    let failed = fault(discover(&provider(fake.at("/mcp"))).await);
    assert!(
        matches!(failed, DiscoveryFault::ResourceMismatch { .. }),
        "{failed:?}"
    );
    assert_eq!(fake.targets().len(), 2, "no server is asked");
}

/// A client that is configured for a server is not tried at another one.
#[actix_web::test]
async fn oc_prereg_issuer_mismatch_error() {
    let fake = usual(|base, seen| {
        let name = seen.target.strip_prefix(AS)?.trim_start_matches('/');
        let mut document = server_document(base);
        document["issuer"] = format!("{}/{name}", wellknown::origin(base)).into();
        Some(reply(200, &document))
    })
    .await;
    let named = wellknown::origin(&fake.url);
    let mut provider = provider(fake.at("/mcp"));
    provider.client = ClientPlan::Configured {
        client_id: "ours".to_owned(),
        proof: Some(ClientProof::Secret(ClientSecret::new("hush"))),
        auth: None,
    };
    let other = format!("{named}/other");
    provider.pins.issuer = Some(other.clone());
    let expected = DiscoveryFault::ForeignClient {
        configured: other,
        named,
    };
    assert_eq!(self::fault(discover(&provider).await), expected);
    assert_eq!(fake.targets().len(), 2, "no server is asked");
    // Whoever registers has nothing to lose there.
    provider.client = ClientPlan::Register;
    assert!(discover(&provider).await.is_ok());
}

#[actix_web::test]
async fn oc_prm_multiple_as_selection() {
    let fake = usual(|base, seen| {
        let issuer = |name| format!("{}/{name}", wellknown::origin(base));
        if seen.target == format!("{PRM}/mcp") {
            let mut document = resource_document(base, "/mcp");
            document["authorization_servers"] = json!([issuer("one"), issuer("two")]);
            return Some(reply(200, &document));
        }
        let name = seen.target.strip_prefix(AS)?.trim_start_matches('/');
        let mut document = server_document(base);
        document["issuer"] = issuer(name).into();
        Some(reply(200, &document))
    })
    .await;
    let issuer = |name| format!("{}/{name}", wellknown::origin(&fake.url));
    let mut provider = provider(fake.at("/mcp"));
    let first = discover(&provider).await.expect("a server");
    assert_eq!(first.server.issuer, issuer("one"));
    let known = [issuer("two")];
    let registered = authority().0.discover(&provider, &known).await;
    assert_eq!(registered.expect("a server").server.issuer, issuer("two"));
    provider.pins.issuer = Some(issuer("three"));
    let pinned = discover(&provider).await.expect("a server");
    assert_eq!(pinned.server.issuer, issuer("three"));
    assert_eq!(pinned.source, Source::PinnedIssuer);

    let fake = usual(|base, seen| {
        let mut document = resource_document(base, "/mcp");
        document["authorization_servers"] = json!([]);
        seen.target.starts_with(PRM).then(|| reply(200, &document))
    })
    .await;
    let failed = fault(discover(&super::provider(fake.at("/mcp"))).await);
    assert_eq!(failed, DiscoveryFault::NoResourceMetadata);
}

#[actix_web::test]
async fn oc_issuer_exact_match() {
    let slashed = async || {
        usual(|base, seen| {
            let mut document = server_document(base);
            document["issuer"] = base.to_string().into();
            (seen.target == AS).then(|| reply(200, &document))
        })
        .await
    };
    let fake = slashed().await;
    let failed = fault(discover(&provider(fake.at("/mcp"))).await);
    assert_eq!(
        failed,
        DiscoveryFault::IssuerMismatch {
            expected: wellknown::origin(&fake.url),
            got: fake.url.to_string(),
        }
    );
    // Scenario 33: a named exception, for one upstream.
    let fake = slashed().await;
    let mut excepted = provider(fake.at("/mcp"));
    excepted.pins.allow_issuer = Some(fake.url.to_string());
    let found = discover(&excepted).await.expect("a server");
    assert_eq!(found.server.issuer, fake.url.to_string());
}

#[actix_web::test]
async fn oc_as_metadata_transient_vs_absent() {
    for (status, absent) in [
        (404, true),
        (400, true),
        (403, true),
        (302, true),
        (500, false),
        (503, false),
        (429, false),
    ] {
        let fake = usual(move |base, seen| match seen.target.as_str() {
            AS => Some(answer(status, &[("Retry-After", "7")], "x")),
            OIDC => Some(reply(200, &server_document(base))),
            _ => None,
        })
        .await;
        let result = discover(&provider(fake.at("/mcp"))).await;
        if absent {
            assert!(result.is_ok(), "{status}");
            continue;
        }
        let expected = DiscoveryFault::Transient {
            url: fake.at(AS).to_string(),
            cause: TransientCause::Status(status),
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(fault(result), expected);
        assert!(
            !fake.targets().contains(&OIDC.to_owned()),
            "{status} proves no absence"
        );
    }
}

#[actix_web::test]
async fn a_page_for_every_address_is_not_metadata() {
    let fake = usual(|base, seen| match seen.target.as_str() {
        AS => Some(answer(200, &[], "<!doctype html>")),
        OIDC => Some(reply(200, &server_document(base))),
        _ => None,
    })
    .await;
    assert!(discover(&provider(fake.at("/mcp"))).await.is_ok());
    let fake = usual(|_, seen| (seen.target == AS).then(not_found)).await;
    let failed = fault(discover(&provider(fake.at("/mcp"))).await);
    assert!(
        matches!(failed, DiscoveryFault::NoServerMetadata { .. }),
        "{failed:?}"
    );
}

#[actix_web::test]
async fn oc_pkce_support_is_required_before_a_sign_in() {
    let fake = usual(|base, seen| {
        let mut document = server_document(base);
        document["code_challenge_methods_supported"] = json!(["plain"]);
        (seen.target == AS).then(|| reply(200, &document))
    })
    .await;
    let failed = discover(&provider(fake.at("/mcp")))
        .await
        .expect_err("a fault");
    assert!(
        matches!(failed.fault, DiscoveryFault::NoPkce { .. }),
        "{failed:?}"
    );
    let last = failed.trail.last().expect("a step").to_string();
    assert!(last.contains("PKCE"), "{last}");
}

#[actix_web::test]
async fn oc_manual_endpoint_pins() {
    let fake = Fake::start(|_, _| not_found()).await;
    let mut pinned = provider(fake.at("/mcp"));
    pinned.pins.authorization_endpoint = Some(url("https://id.example/a"));
    assert_eq!(fault(discover(&pinned).await), DiscoveryFault::HalfPinned);
    pinned.pins.token_endpoint = Some(url("https://id.example/t"));
    let found = discover(&pinned).await.expect("a server");
    assert!(fake.seen().is_empty(), "nothing is asked");
    assert_eq!(found.source, Source::PinnedEndpoints);
    assert_eq!(found.server.iss, IssSupport::IssuerUnknown);
    assert_eq!(
        found.resource,
        Some(wellknown::canonical_resource(&fake.at("/mcp")))
    );
    assert_eq!(found.trail[0].outcome, StepOutcome::Pinned);

    pinned.pins.token_endpoint = Some(url("http://id.example/t"));
    assert!(matches!(
        fault(discover(&pinned).await),
        DiscoveryFault::Insecure { .. }
    ));

    // A pinned issuer needs no resource metadata, and takes what there is of it.
    let mut issuer = provider(fake.at("/mcp"));
    let other = usual(|_, _| None).await;
    issuer.pins.issuer = Some(wellknown::origin(&other.url));
    issuer.resource = ResourcePlan::Off;
    let found = discover(&issuer).await.expect("a server");
    assert_eq!(found.server.token_endpoint, other.at("/token"));
    assert_eq!(found.resource, None);
}

#[actix_web::test]
async fn oc_legacy_2025_03_26_fallback() {
    let bare = async || {
        Fake::start(|_, seen| match seen.target.as_str() {
            "/mcp" => unauthorized("Bearer"),
            _ => not_found(),
        })
        .await
    };
    let fake = bare().await;
    let failed = fault(discover(&provider(fake.at("/mcp"))).await);
    assert_eq!(failed, DiscoveryFault::NoResourceMetadata);
    let mut legacy = provider(fake.at("/mcp"));
    legacy.legacy = Legacy::Allow;
    let found = discover(&legacy).await.expect("a server");
    assert_eq!(found.source, Source::LegacyOrigin);
    assert_eq!(found.server.authorization_endpoint, fake.at("/authorize"));
    let last = fake.seen().pop().expect("a request");
    assert_eq!(last.header("mcp-protocol-version"), Some("2025-03-26"));
}

#[actix_web::test]
async fn se_ssrf_user_configured_exempt() {
    // What an upstream on the internet names may not lie on this machine ...
    let outside = Trust::new(Zone::Public, &Pins::default());
    let inside = url("https://127.0.0.1/meta");
    let loopback: std::net::IpAddr = "127.0.0.1".parse().expect("an address");
    assert!(!outside.reach(&inside).admits(loopback));
    assert!(!outside.admits(&url("http://127.0.0.1/meta")));
    // ... unless the person named it, or the upstream lives there too.
    let pins = Pins {
        issuer: Some("https://127.0.0.1/".to_owned()),
        ..Pins::default()
    };
    assert!(
        Trust::new(Zone::Public, &pins)
            .reach(&inside)
            .admits(loopback)
    );
    let local = Trust::new(Zone::Host, &Pins::default());
    assert!(local.admits(&url("http://127.0.0.1:9/meta")));
    assert!(
        !local.admits(&url("http://id.example/meta")),
        "http elsewhere never"
    );
    assert!(!local.admits(&url("file:///etc/passwd")));
}

#[actix_web::test]
async fn se_https_required_of_the_upstream_itself() {
    let failed = fault(discover(&provider(url("http://h.example/mcp"))).await);
    assert!(
        matches!(failed, DiscoveryFault::Insecure { .. }),
        "{failed:?}"
    );
}

#[actix_web::test]
async fn se_https_required_of_what_a_challenge_points_to() {
    let fake = usual(|_, seen| {
        let pointer = "Bearer resource_metadata=\"http://elsewhere.example/meta\"";
        (seen.target == "/mcp").then(|| unauthorized(pointer))
    })
    .await;
    let failed = fault(discover(&provider(fake.at("/mcp"))).await);
    assert!(
        matches!(failed, DiscoveryFault::Insecure { .. }),
        "{failed:?}"
    );
}
