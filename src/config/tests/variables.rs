//! What the environment and flags say.

use super::*;
use crate::model::id::UpstreamName;
use crate::model::record::StoreKind;

fn from_variables(variables: &[(&str, &str)]) -> Loaded {
    match parse("", &inputs(variables)) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn seed_s4_01_variables_alone_are_enough() {
    let loaded = from_variables(&[
        ("UPSTREAM_MCP_URL", "https://mcp.example.com/mcp/"),
        ("PORT", "6000"),
        ("BIND", "::1"),
        ("PUBLIC_BASE_URL", "https://mcp.example.com/"),
        ("REDIRECT_PATH", "/cb"),
        ("KEYCHAIN_SERVICE", "mine"),
        ("SCOPES", "a,b c"),
        ("PROBE_PATH", "/probe"),
        ("AUTHORIZATION_ENDPOINT", "https://id.example.com/a"),
        ("TOKEN_ENDPOINT", "https://id.example.com/t"),
        ("ISSUER", "https://id.example.com"),
        ("CLIENT_ID", "abc"),
        ("CLIENT_SECRET", "hunter2"),
        ("AUTO_REGISTER_CLIENT", "false"),
    ]);
    let config = loaded.config;
    assert!(config.environment_only && !config.sessions.require);
    assert_eq!(
        config.default_upstream.as_ref().map(UpstreamName::as_str),
        Some("default")
    );
    assert_eq!(config.server.port, 6000);
    assert_eq!(config.server.base_url(), "http://[::1]:6000");
    assert_eq!(config.server.redirect_uri(), "https://mcp.example.com/cb");
    assert!(
        config
            .server
            .allowed_hosts
            .contains(&"mcp.example.com".to_owned())
    );
    assert_eq!(config.store.service, "mine");
    assert_eq!(config.store.kind, StoreKind::Auto);
    let upstream = config.upstream("default").expect("there");
    assert_eq!(upstream.url.as_str(), "https://mcp.example.com/mcp/");
    let oauth = upstream.auth.oauth().expect("signs in");
    let scopes = ["a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(oauth.scopes, Some(scopes));
    assert_eq!(oauth.client_id.as_deref(), Some("abc"));
    let secret = SecretSource::Variable("CLIENT_SECRET".to_owned());
    assert_eq!(oauth.proof, Some(ProofSource::Secret(secret)));
    assert_eq!(oauth.register, Register::Never);
    assert_eq!(oauth.probe_path.as_deref(), Some("/probe"));
    assert!(oauth.endpoints.is_some() && oauth.issuer.is_some());
    assert_eq!(loaded.warnings.len(), 1, "sessions are not required");
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
}

#[test]
fn seed_s4_04_scopes_fall_back_for_the_upstream_of_the_variables() {
    let config = from_variables(&[("UPSTREAM_MCP_URL", "https://mcp.example.com/mcp")]).config;
    let oauth = config
        .upstream("default")
        .and_then(|up| up.auth.oauth())
        .expect("signs in");
    assert_eq!(oauth.scopes, None);
    assert_eq!(oauth.fallback_scopes, FALLBACK_SCOPES);
    let written = good("[upstreams.a]\nurl = \"https://a.example\"\n");
    let oauth = written
        .upstream("a")
        .and_then(|up| up.auth.oauth())
        .expect("signs in");
    assert!(oauth.fallback_scopes.is_empty());
}

#[test]
fn one_endpoint_without_the_other_is_refused() {
    let error = parse(
        "",
        &inputs(&[
            ("UPSTREAM_MCP_URL", "https://mcp.example.com/mcp"),
            ("TOKEN_ENDPOINT", "https://id.example.com/t"),
        ]),
    );
    assert_eq!(
        error.expect_err("refused").render(),
        "error: `upstreams.default.auth.token_endpoint` needs its counterpart\n  \
           --> environment variable TOKEN_ENDPOINT\n   = `authorization_endpoint` is not set\n"
    );
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let mut given = inputs(&[
        ("DOORWARD__SERVER__PORT", "7000"),
        ("DOORWARD__SESSIONS__TTL", "7d"),
    ]);
    let text = "[server]\nport = 6000\n[sessions]\nttl = \"9d\"\nmax = 3\n";
    let loaded = parse(text, &given).expect("right");
    assert_eq!(loaded.config.server.port, 7000);
    assert_eq!(
        loaded.config.sessions.policy.ttl,
        Duration::from_hours(24 * 7)
    );
    assert_eq!(loaded.config.sessions.max, 3);
    given.flags.port = Some(8000);
    given.flags.upstreams = vec![("a".to_owned(), "https://a.example".to_owned())];
    let loaded = parse(text, &given).expect("right");
    assert_eq!(loaded.config.server.port, 8000);
    assert!(loaded.config.upstream("a").is_some());
    let source = |key: &str| {
        let found = loaded.settings.iter().find(|setting| setting.key == key);
        found.map(|setting| setting.source.to_string())
    };
    assert_eq!(source("server.port").as_deref(), Some("flag --port"));
    assert_eq!(
        source("sessions.ttl").as_deref(),
        Some("env DOORWARD__SESSIONS__TTL")
    );
    assert_eq!(source("sessions.max").as_deref(), Some("config"));
    assert_eq!(source("sessions.idle").as_deref(), Some("default"));
}

#[test]
fn variables_can_set_any_key_of_an_upstream() {
    let loaded = from_variables(&[
        ("DOORWARD__UPSTREAMS__MY_DOCS__URL", "https://docs.example"),
        ("DOORWARD__UPSTREAMS__MY_DOCS__AUTH__KIND", "none"),
    ]);
    let upstream = loaded.config.upstream("my-docs").expect("there");
    assert_eq!(upstream.auth, Auth::None);
    assert!(loaded.config.sessions.require && !loaded.config.environment_only);
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let text = "[upstreams.a]\nurl = \"https://${HOST_OF_A}/mcp\"\n";
    assert!(bad(text).contains("HOST_OF_A is not set"), "{}", bad(text));
    let loaded = parse(text, &inputs(&[("HOST_OF_A", "a.example")])).expect("right");
    let upstream = loaded.config.upstream("a").expect("there");
    assert_eq!(upstream.url.as_str(), "https://a.example/mcp");
}
