//! From the authorization URL to the accepted callback.

use std::collections::HashMap;

use super::*;
use crate::oauth::login::MAX_WINDOW;

fn begin(provider: &Provider, discovered: &Discovered, scopes: &[&str]) -> PendingLogin {
    begin_with(provider, discovered, scopes, &Counting::new())
}

fn begin_with(
    provider: &Provider,
    discovered: &Discovered,
    scopes: &[&str],
    random: &dyn Random,
) -> PendingLogin {
    let start = Start {
        account: account(),
        client: client(ClientAuth::None, None),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        window: Duration::from_mins(5),
    };
    PendingLogin::begin(provider, discovered, start, NOW, random).expect("a sign-in")
}

fn usual() -> PendingLogin {
    begin(
        &provider(url("https://h.example/mcp")),
        &discovered(),
        &["read"],
    )
}

fn query(login: &PendingLogin) -> HashMap<String, String> {
    let pairs: Vec<(String, String)> = login.url().query_pairs().into_owned().collect();
    let map: HashMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "no parameter is repeated");
    map
}

fn state(login: &PendingLogin) -> String {
    query(login)["state"].clone()
}

fn check(login: PendingLogin, rest: &str) -> Result<Exchange, CallbackFault> {
    let callback = format!("state={}&{rest}", state(&login));
    check_callback(&mut Some(login), Callback::parse(&callback), NOW)
}

#[test]
fn oc_resource_param_everywhere_in_the_authorization_url() {
    let login = usual();
    let query = query(&login);
    assert_eq!(login.url().path(), "/authorize");
    assert_eq!(query["tenant"], "7", "the endpoint's own query is kept");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["client_id"], "client one");
    assert_eq!(query["redirect_uri"], REDIRECT);
    assert_eq!(query["resource"], "https://h.example/mcp");
    assert_eq!(query["scope"], "read");
    let mut silent = discovered();
    silent.resource = None;
    let login = begin(&provider(url("https://h.example/mcp")), &silent, &[]);
    assert!(!self::query(&login).contains_key("resource"));
    assert!(!self::query(&login).contains_key("scope"));
}

#[test]
fn oc_pkce_s256_fresh() {
    let random = Counting::new();
    let provider = provider(url("https://h.example/mcp"));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..2 {
        let login = begin_with(&provider, &discovered(), &[], &random);
        let query = query(&login);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(seen.insert(query["code_challenge"].clone()));
        assert!(seen.insert(query["state"].clone()));
        assert!(query["state"].len() >= 22, "128 bits at least");
    }
    // RFC 7636 appendix B, through the crate that makes the challenge.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
    let challenge = oauth2::PkceCodeChallenge::from_code_verifier_sha256(
        &oauth2::PkceCodeVerifier::new(verifier),
    );
    assert_eq!(
        challenge.as_str(),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
}

#[test]
fn a_sign_in_prints_no_secret() {
    let login = usual();
    let printed = format!("{login:?}");
    assert!(!printed.contains(&state(&login)), "{printed}");
    assert!(!printed.contains("code_challenge"), "{printed}");
    let exchange = check(login, "code=sesame").expect("accepted");
    assert!(!format!("{exchange:?}").contains("sesame"));
    assert!(!format!("{:?}", Callback::parse("state=s&code=sesame")).contains("sesame"));
}

#[test]
fn oc_state_single_use() {
    let login = usual();
    let good = format!("state={}&code=c", state(&login));
    let mut pending = Some(login);
    for wrong in [
        "",
        "code=c",
        "state=&code=c",
        "state=x&code=c",
        "state=x&error=access_denied",
    ] {
        let fault = check_callback(&mut pending, Callback::parse(wrong), NOW);
        assert_eq!(fault.expect_err("refused"), CallbackFault::State, "{wrong}");
        assert!(
            pending.is_some(),
            "a stranger does not end the sign-in: {wrong}"
        );
    }
    check_callback(&mut pending, Callback::parse(&good), NOW).expect("accepted");
    let again = check_callback(&mut pending, Callback::parse(&good), NOW);
    assert_eq!(again.expect_err("used up"), CallbackFault::State);
}

#[test]
fn a_callback_after_the_window_is_refused() {
    let login = usual();
    let good = format!("state={}&code=c", state(&login));
    let end = login.facts.expires;
    assert_eq!(end, NOW.plus(Duration::from_mins(5)));
    let late = end.plus(Duration::from_millis(1));
    let fault = check_callback(&mut Some(login), Callback::parse(&good), late);
    assert_eq!(fault.expect_err("late"), CallbackFault::Expired);
    let login = usual();
    assert!(check_callback(&mut Some(login), Callback::parse(&good), end).is_ok());
    let start = Start {
        account: account(),
        client: client(ClientAuth::None, None),
        scopes: Vec::new(),
        window: Duration::from_hours(99),
    };
    let provider = provider(url("https://h.example/mcp"));
    let login = PendingLogin::begin(&provider, &discovered(), start, NOW, &Counting::new());
    assert_eq!(
        login.expect("a sign-in").facts.expires,
        NOW.plus(MAX_WINDOW)
    );
}

fn with_iss(support: IssSupport, rest: &str) -> Result<Exchange, CallbackFault> {
    let mut discovered = discovered();
    discovered.server.iss = support;
    let login = begin(&provider(url("https://h.example/mcp")), &discovered, &[]);
    check(login, rest)
}

#[test]
fn oc_iss_decision_table() {
    let right = "code=c&iss=https%3A%2F%2Fid.example";
    let wrong = "code=c&iss=https%3A%2F%2Fevil.example";
    for support in [IssSupport::Advertised, IssSupport::NotAdvertised] {
        assert!(with_iss(support, right).is_ok());
        let fault = with_iss(support, wrong).expect_err("mismatch");
        assert!(matches!(fault, CallbackFault::IssuerMismatch { .. }));
    }
    let fault = with_iss(IssSupport::Advertised, "code=c").expect_err("missing");
    assert!(matches!(fault, CallbackFault::IssuerMissing { .. }));
    assert!(with_iss(IssSupport::NotAdvertised, "code=c").is_ok());
    assert!(with_iss(IssSupport::IssuerUnknown, wrong).is_ok());
}

#[test]
fn oc_iss_no_normalization() {
    for near in [
        "https://id.example/",
        "https://ID.example",
        "https://id.example:443",
        "HTTPS://id.example",
        "https://id%2Eexample",
        "https://id.example ",
    ] {
        let escaped: String = url::form_urlencoded::byte_serialize(near.as_bytes()).collect();
        let fault = with_iss(IssSupport::NotAdvertised, &format!("code=c&iss={escaped}"));
        let expected = CallbackFault::IssuerMismatch {
            expected: "https://id.example".to_owned(),
            got: near.to_owned(),
        };
        assert_eq!(fault.expect_err("mismatch"), expected);
    }
}

#[test]
fn oc_iss_mismatch_hides_error() {
    let rest = "error=access_denied&error_description=call+me&iss=https%3A%2F%2Fevil.example";
    let fault = with_iss(IssSupport::NotAdvertised, rest).expect_err("mismatch");
    assert!(!fault.to_string().contains("access_denied"), "{fault}");
    assert!(!fault.to_string().contains("call me"), "{fault}");
}

#[test]
fn errors_of_a_callback_are_cleaned_and_told() {
    let fault = check(
        usual(),
        "error=access_denied&error_description=no%1b%5B31m+way",
    );
    assert_eq!(
        fault.expect_err("denied"),
        CallbackFault::Denied {
            code: crate::model::fault::OauthCode("access_denied".to_owned()),
            description: Some("no[31m way".to_owned()),
        }
    );
    for broken in ["", "code=", "code=a&code=b", "code=a&state=again"] {
        let fault = check(usual(), broken).expect_err(broken);
        assert!(
            matches!(fault, CallbackFault::Malformed | CallbackFault::State),
            "{broken}"
        );
    }
}

#[test]
fn oc_browser_open_no_shell_and_no_strange_scheme() {
    for strange in [
        "http://id.example/a",
        "file:///a",
        "javascript:alert(1)",
        "ms-x:run",
    ] {
        let mut discovered = discovered();
        discovered.server.authorization_endpoint = url(strange);
        let start = Start {
            account: account(),
            client: client(ClientAuth::None, None),
            scopes: Vec::new(),
            window: Duration::from_mins(5),
        };
        let provider = provider(url("https://h.example/mcp"));
        let begun = PendingLogin::begin(&provider, &discovered, start, NOW, &Counting::new());
        assert!(begun.is_err(), "{strange}");
    }
}

fn selected(provider: &Provider, discovered: &Discovered, more: &[&str]) -> String {
    let more: Vec<String> = more.iter().map(|&scope| scope.to_owned()).collect();
    scope::select(provider, discovered, &more).join(" ")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn oc_scope_selection_order() {
    let mut provider = provider(url("https://h.example/mcp"));
    let mut found = discovered();
    found.server.scopes_supported = Some(words("everything admin"));
    assert_eq!(
        selected(&provider, &found, &[]),
        "",
        "never all of the server's"
    );
    found.resource_scopes = Some(words("read write"));
    assert_eq!(selected(&provider, &found, &[]), "read write");
    found.challenge_scopes = Some(words("special"));
    assert_eq!(
        selected(&provider, &found, &[]),
        "special",
        "oc_scope_challenge_authoritative"
    );
    assert_eq!(
        selected(&provider, &found, &["extra", "special"]),
        "special extra"
    );
    provider.scopes = Some(words("mine"));
    assert_eq!(selected(&provider, &found, &[]), "mine");
}

#[test]
fn seed_s4_04_default_scopes_only_where_nothing_names_any() {
    let mut provider = provider(url("https://h.example/mcp"));
    provider.default_scopes = words("mcp:tools mcp:resources offline_access");
    let mut found = discovered();
    assert_eq!(
        selected(&provider, &found, &[]),
        "mcp:tools mcp:resources offline_access"
    );
    found.resource_scopes = Some(words("read"));
    assert_eq!(selected(&provider, &found, &[]), "read");
}

#[test]
fn oc_offline_access_conditional() {
    let mut provider = provider(url("https://h.example/mcp"));
    let mut found = discovered();
    found.resource_scopes = Some(words("openid"));
    assert_eq!(selected(&provider, &found, &[]), "openid");
    found.server.scopes_supported = Some(words("openid offline_access"));
    assert_eq!(selected(&provider, &found, &[]), "openid offline_access");
    let login = begin(&provider, &found, &["openid", "offline_access"]);
    assert_eq!(query(&login)["prompt"], "consent");
    provider.extra_authorize = vec![("prompt".to_owned(), "login".to_owned())];
    let login = begin(&provider, &found, &["openid", "offline_access"]);
    assert_eq!(query(&login)["prompt"], "login", "the configuration wins");
    found.resource_scopes = None;
    assert_eq!(
        selected(&provider, &found, &[]),
        "",
        "alone it would narrow the grant"
    );
}
