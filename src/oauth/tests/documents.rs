//! What the metadata documents of resources and servers are taken for.

use serde_json::{Value, json};
use url::Url;

use crate::oauth::ResourceMatch;
use crate::oauth::metadata::{
    IssSupport, RawServer, ResourceMetadata, Retrieval, ServerFault, ServerMetadata,
};

fn resource(name: &str) -> ResourceMetadata {
    ResourceMetadata {
        resource: name.to_owned(),
        authorization_servers: Vec::new(),
        scopes_supported: None,
        bound: false,
    }
}

fn server(extra: Value) -> Result<ServerMetadata, ServerFault> {
    let mut document = json!({
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "code_challenge_methods_supported": ["S256"],
    });
    for (name, value) in extra.as_object().expect("an object") {
        document[name] = value.clone();
    }
    RawServer::parse(document.to_string().as_bytes())
        .expect("a document")
        .validate(|url| url.scheme() == "https")
}

#[test]
fn oc_prm_resource_mismatch_rejected() {
    let endpoint: Url = "https://h.example/team/mcp".parse().expect("a URL");
    for wrong in [
        "https://evil.example/team/mcp",
        "http://h.example/team/mcp",
        "https://h.example:444/team/mcp",
        "https://h.example/team/mcp2",
        "https://h.example/team/mc",
        "https://h.example/team/mcp/more",
        "https://h.example/team/mcp#x",
        "https://h.example/?team",
        "not a url",
    ] {
        for found in [Retrieval::Header, Retrieval::Path, Retrieval::Root] {
            let document = resource(wrong);
            assert!(
                !document.is_about(&endpoint, found, ResourceMatch::Prefix),
                "{wrong}"
            );
            assert!(
                !document.is_about(&endpoint, found, ResourceMatch::Strict),
                "{wrong}"
            );
        }
    }
}

#[test]
fn oc_prm_resource_prefix_relaxation() {
    let endpoint: Url = "https://h.example/team/mcp".parse().expect("a URL");
    for parent in [
        "https://h.example",
        "https://H.example/",
        "https://h.example/team",
        "https://h.example:443/team/",
        "https://h.example/team/mcp",
        "https://h.example/team/mcp/",
    ] {
        let document = resource(parent);
        assert!(
            document.is_about(&endpoint, Retrieval::Header, ResourceMatch::Prefix),
            "{parent}"
        );
    }
    let strict =
        |name: &str, found| resource(name).is_about(&endpoint, found, ResourceMatch::Strict);
    assert!(strict("https://h.example/team/mcp", Retrieval::Header));
    assert!(!strict("https://h.example/team", Retrieval::Header));
    assert!(strict("https://h.example", Retrieval::Root));
    assert!(!strict("https://h.example/team/mcp", Retrieval::Root));
}

#[test]
fn oc_pkce_support_required() {
    for missing in [json!(null), json!([]), json!(["plain"]), json!("plain")] {
        let refused = server(json!({ "code_challenge_methods_supported": missing }));
        assert_eq!(refused, Err(ServerFault::NoPkce));
    }
    assert!(server(json!({ "code_challenge_methods_supported": ["plain", "S256"] })).is_ok());
}

/// Optional for us where the server does not demand it.
#[test]
fn oc_par_required_honoured() {
    let endpoint = "https://id.example/par";
    let asks = |demands: Value, named: Value| {
        server(json!({
            "require_pushed_authorization_requests": demands,
            "pushed_authorization_request_endpoint": named,
        }))
    };
    let found = asks(json!(true), json!(endpoint)).expect("a server");
    assert_eq!(found.pushed_endpoint.expect("used").as_str(), endpoint);
    let found = asks(json!(false), json!(endpoint)).expect("a server");
    assert_eq!(found.pushed_endpoint, None);
    assert!(matches!(
        asks(json!(true), json!(null)),
        Err(ServerFault::Malformed(_))
    ));
}

#[test]
fn oc_mtls_aliases() {
    let document = json!({
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "revocation_endpoint": "https://id.example/revoke",
        "code_challenge_methods_supported": ["S256"],
        "mtls_endpoint_aliases": {
            "token_endpoint": "https://mtls.id.example/token",
            "authorization_endpoint": "https://mtls.id.example/authorize",
        },
    });
    let read = || RawServer::parse(document.to_string().as_bytes()).expect("a document");
    let (with, without) = (read().for_certificates(), read());
    let [with, without] = [with, without].map(|raw| {
        let server = raw.validate(|_| true).expect("a server");
        let shown = |url: &Url| url.host_str().map(str::to_owned).expect("a host");
        [
            shown(&server.token_endpoint),
            // Where the browser goes is no place for our certificate.
            shown(&server.authorization_endpoint),
            shown(server.revocation_endpoint.as_ref().expect("one")),
        ]
    });
    assert_eq!(with, ["mtls.id.example", "id.example", "id.example"]);
    assert_eq!(without, ["id.example"; 3]);
}

#[test]
fn se_https_required() {
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
    ] {
        let refused = server(json!({ endpoint: "http://id.example/x" }));
        assert_eq!(
            refused,
            Err(ServerFault::Endpoint("http://id.example/x".to_owned()))
        );
    }
}

#[test]
fn documents_are_read_leniently_and_unknown_members_ignored() {
    let read = server(json!({
        "scopes_supported": "openid offline_access",
        "token_endpoint_auth_methods_supported": ["none", 7],
        "authorization_response_iss_parameter_supported": true,
        "nonsense": {"deep": [1, 2]},
    }))
    .expect("usable");
    assert_eq!(
        read.scopes_supported,
        Some(vec!["openid".to_owned(), "offline_access".to_owned()])
    );
    assert_eq!(read.auth_methods, Some(vec!["none".to_owned()]));
    assert_eq!(read.iss, IssSupport::Advertised);
    for body in [
        "",
        "[]",
        "\"x\"",
        "<html>",
        "{\"issuer\":",
        "{}",
        "{\"issuer\":7}",
    ] {
        assert!(RawServer::parse(body.as_bytes()).is_err(), "{body}");
        assert!(ResourceMetadata::parse(body.as_bytes()).is_err(), "{body}");
    }
}
