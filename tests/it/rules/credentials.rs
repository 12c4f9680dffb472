//! Whose token goes where, and what an agent learns of it.

use doorward::clock::Clock;
use doorward::model::fault::{CredentialError, LoginReason, TransientCause};
use doorward::model::id::Generation;
use doorward::model::session::Grant;
use doorward::model::time::Timestamp;

use crate::credentials::{CHALLENGE, PING, accepting};
use crate::support::agent::{Agent, Options, publish, upstream};
use crate::support::raw::{Upstream, answer, ok};

fn with(routes: &[(&str, String)]) -> Agent {
    Agent::start(Options {
        upstreams: routes
            .iter()
            .map(|(name, url)| upstream(name, url.clone()))
            .collect(),
        ..Options::default()
    })
}

#[test]
fn tl_token_on_every_request() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp?tenant=1"));
    let mut wire = agent.connect();
    for method in ["POST", "GET", "DELETE", "POST"] {
        let body = if method == "POST" { "{}" } else { "" };
        let answer = wire.ask(agent.request(method, "/u/up?page=2", "", body));
        assert_eq!(answer.status(), 200);
        let seen = up.seen();
        assert_eq!(seen.all("authorization"), ["Bearer token-1"], "{method}");
        assert_eq!(seen.target(), "/mcp?tenant=1&page=2");
        assert_eq!(seen.text(), body);
    }
}

#[test]
fn tl_token_bound_to_resource() {
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let agent = with(&[("one", one.url("/mcp")), ("two", two.url("/mcp"))]);
    publish(&agent.slot("one"), 11);
    publish(&agent.slot("two"), 22);
    for _ in 0..3 {
        agent.ask("POST", "/u/one", "", "{}");
        agent.ask("POST", "/u/two", "", "{}");
        assert_eq!(one.seen().all("authorization"), ["Bearer token-11"]);
        assert_eq!(two.seen().all("authorization"), ["Bearer token-22"]);
    }
}

#[test]
fn se_least_privilege_accounts_never_stand_in_for_each_other() {
    let up = Upstream::echo();
    let agent = with(&[("up", up.url("/mcp")), ("up@work", up.url("/mcp"))]);
    publish(&agent.slot("up"), 5);
    agent
        .source
        .behave(|_, _| Err(CredentialError::LoginRequired(LoginReason::Never)));
    assert_eq!(agent.ask("POST", "/u/up", "", PING).text(), PING);
    assert_eq!(up.seen().all("authorization"), ["Bearer token-5"]);
    let other = agent.ask("POST", "/u/up@work", "", PING);
    assert_eq!(other.json()["error"]["data"]["code"], "login_required");
    assert!(!up.was_asked(), "the other account's token is not tried");
}

#[test]
fn tl_access_token_opaque() {
    use doorward::ledger::Published;
    use doorward::model::secret::AccessToken;
    use doorward::model::token::Credential;
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    // {"alg":"none"}.{"exp":1,"aud":"https://elsewhere.example"}: expired and for somebody else,
    // if anybody read it; and one that is no JWT at all.
    for token in [
        "eyJhbGciOiJub25lIn0.eyJleHAiOjEsImF1ZCI6Imh0dHBzOi8vZWxzZXdoZXJlLmV4YW1wbGUifQ.x",
        "..",
    ] {
        let credential = Credential {
            access: AccessToken::new(token),
            issued: Timestamp::MIN,
            expires: None,
            generation: Generation(agent.slot("up").load().map_or(1, |p| p.generation.0 + 1)),
        };
        let published = Published::bearer(&credential, Timestamp::MAX).expect("sendable");
        agent.slot("up").publish(published);
        assert_eq!(agent.post("{}").status(), 200);
        assert_eq!(up.seen().all("authorization"), [format!("Bearer {token}")]);
    }
    assert_eq!((agent.source.asks(), agent.source.nudges()), (0, 0));
}

#[test]
fn px_no_token_passthrough() {
    let up = accepting(u64::MAX);
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    // The agent's own credential in one field, a token of its own in the other.
    let text = format!(
        "POST /u/up HTTP/1.1\r\nhost: {own}\r\ndoorward-session: {}\r\n\
         authorization: Bearer the-agents-own\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{PING}",
        agent.token,
        PING.len()
    );
    let answer = agent.connect().ask(text);
    for _ in 0..2 {
        let seen = format!("{:?}", up.seen());
        assert!(seen.contains("Bearer token-"), "{seen}");
        assert!(!seen.contains("the-agents-own") && !seen.contains(&agent.token));
    }
    let told = format!("{answer:?}");
    assert!(!told.contains("token-"), "{told}");
}

#[test]
fn seed_s1_08_the_agents_authorization_is_replaced_whatever_it_is() {
    let up = Upstream::echo();
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        require_session: false,
        ..Options::default()
    });
    for sent in [
        "",
        "authorization: Bearer stale\r\n",
        "authorization: Basic eDp5\r\n",
        "authorization: DPoP x\r\n",
        "authorization: \r\n",
    ] {
        let text = format!(
            "DELETE /u/up HTTP/1.1\r\nhost: {}\r\n{sent}\r\n",
            agent.address
        );
        let answer = agent.connect().ask(text);
        assert_eq!(answer.status(), 200, "{sent}");
        assert_eq!(up.seen().all("authorization"), ["Bearer token-1"], "{sent}");
    }
}

#[test]
fn oc_plain_403_passthrough() {
    for challenge in [
        "",
        "www-authenticate: Bearer realm=\"x\"\r\n",
        "www-authenticate: Bearer error=\"invalid_token\"\r\n",
        "www-authenticate: Basic realm=\"insufficient_scope\"\r\n",
    ] {
        let up = Upstream::answering(move |_| answer("403 Forbidden", challenge, "{\"theirs\":1}"));
        let agent = Agent::before(up.url("/mcp"));
        let plain = agent.post(PING);
        assert_eq!(
            (plain.status(), plain.text().as_str()),
            (403, "{\"theirs\":1}"),
            "{challenge}"
        );
        assert_eq!(plain.field("doorward-origin"), Some("upstream"));
        up.seen();
        assert!(!up.was_asked(), "sent once");
        assert_eq!(agent.source.rejected(), [None], "no token is blamed");
    }
}

#[test]
fn oc_stepup_retry_limit() {
    let up = Upstream::answering(|_| {
        let fields = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"write\"\r\n";
        answer("403 Forbidden", fields, "")
    });
    let agent = Agent::before(up.url("/mcp"));
    publish(&agent.slot("up"), 1);
    for _ in 0..10 {
        let told = agent.post(PING);
        assert_eq!(told.json()["error"]["data"]["code"], "scope_needed");
        up.seen();
        assert!(!up.was_asked(), "an agent's request is tried once");
    }
    assert_eq!((agent.source.asks(), agent.source.nudges()), (0, 0));
    let kept = agent.slot("up").load().expect("published").generation;
    assert_eq!(kept, Generation(1), "oc_stepup_keeps_old_token");
}

#[test]
fn tl_failure_isolation() {
    let (bad, good) = (accepting(1), accepting(1));
    let agent = with(&[("bad", bad.url("/mcp")), ("good", good.url("/mcp"))]);
    publish(&agent.slot("good"), 1);
    let now = agent.clock.now();
    agent.source.behave(move |_, _| {
        Err(CredentialError::Unavailable {
            cause: TransientCause::Status(503),
            attempts: 3,
            retry_at: now.plus(std::time::Duration::from_mins(5)),
        })
    });
    for _ in 0..5 {
        let failed = agent.ask("POST", "/u/bad", "", PING);
        assert_eq!(
            failed.json()["error"]["data"]["code"],
            "refresh_unavailable"
        );
        assert_eq!(agent.ask("POST", "/u/good", "", PING).status(), 200);
    }
    assert_eq!(agent.source.asks(), 5, "the good one asks nobody");
    assert!(!bad.was_asked());
}

#[test]
fn ls_no_cross_agent_disclosure() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = Agent::start(Options {
        upstreams: vec![
            upstream("up", up.url("/mcp")),
            upstream("hidden", up.url("/private")),
            upstream("hidden@boss", up.url("/private")),
        ],
        default_segment: Some("up".to_owned()),
        ..Options::default()
    });
    let (_, other) = agent.mint(9, Grant::All);
    let (token, _) = agent.mint(8, Grant::Only(vec!["up".parse().expect("a name")]));
    for path in [
        "/",
        "/health",
        "/ready",
        "/mcp/health",
        "/u",
        "/u/",
        "/u/hidden",
        "/u/hidden@boss",
        "/u/nothing",
        "/oauth/status",
        "/api/v1/sessions",
        "/api/v1/status",
        "/metrics",
        "/ui",
    ] {
        for credential in [String::new(), format!("authorization: Bearer {token}\r\n")] {
            let text = format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\n{credential}\r\n",
                agent.address
            );
            // The path that was asked for is the agent's own word.
            let told = format!("{:?}", agent.connect().ask(text)).replace(path, "");
            for secret in ["hidden", "boss", "private", &other.id().to_string()] {
                let named = path.contains(secret);
                assert!(named || !told.contains(secret), "{path}: {told}");
            }
        }
    }
}

#[test]
fn se_no_reflection_of_a_challenge() {
    let up = Upstream::answering(|_| answer("401 Unauthorized", CHALLENGE, "<b>internal page</b>"));
    let agent = Agent::before(up.url("/mcp"));
    for body in [PING, "{}", "[]", ""] {
        let told = format!("{:?}", agent.post(body));
        assert!(!told.contains("internal page"), "{told}");
        assert!(!told.contains("up.example"), "{told}");
    }
}

#[test]
fn px_cookie_isolation() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let up = Upstream::answering(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let fields = format!("set-cookie: sid={number}; Path=/\r\nset-cookie: lb=a\r\n");
        answer("200 OK", &fields, "{}")
    });
    let agent = Agent::before(up.url("/mcp"));
    let (other, _) = agent.mint(7, Grant::All);
    for credential in [&agent.token, &other, &agent.token] {
        let text = format!(
            "DELETE /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {credential}\r\n\
             cookie: sid=0; doorward_login_x=1\r\n\r\n",
            agent.address
        );
        let answer = agent.connect().ask(text);
        assert_eq!(answer.status(), 200);
        assert!(answer.all("set-cookie").is_empty());
        // Neither the agent's cookies nor those that were set for somebody before.
        assert!(up.seen().all("cookie").is_empty());
    }
}
