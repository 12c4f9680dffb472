//! What our origin answers to probes: the contract with agent programs, one row each.

use crate::support::agent::{Agent, Options, publish, upstream};
use crate::support::raw::{EVENTS, Upstream, chunk, ok};

fn default_upstream(up: &Upstream) -> Agent {
    let mut spec = upstream("up", up.url("/mcp"));
    spec.allow_subpaths = true;
    Agent::start(Options {
        upstreams: vec![spec],
        default_segment: Some("up".to_owned()),
        ..Options::default()
    })
}

#[test]
fn ls_no_oauth_discovery() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = default_upstream(&up);
    let own = agent.address;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/u/up",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/u/up",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/u/up",
        "/u/up/.well-known/oauth-protected-resource",
        "/u/up/.well-known/openid-configuration",
        "/u/none/.well-known/oauth-authorization-server",
        "/mcp/.well-known/openid-configuration",
        "/%2ewell-known/oauth-protected-resource",
        "/u/up/.Well-Known/openid-configuration",
        "/u/up/%2Ewell%2Dknown/openid-configuration",
        "/register",
        "/authorize?client_id=x",
        "/token",
    ] {
        for method in ["GET", "POST", "OPTIONS", "DELETE"] {
            for credential in [
                String::new(),
                format!("authorization: Bearer {}\r\n", agent.token),
            ] {
                let text = format!("{method} {path} HTTP/1.1\r\nhost: {own}\r\n{credential}\r\n");
                let answer = agent.connect().ask(text);
                assert_eq!(answer.status(), 404, "{method} {path}");
                assert_eq!(answer.field("content-type"), Some("application/json"));
                assert_eq!(answer.json()["error"], "not_found");
                assert!(answer.field("www-authenticate").is_none());
                assert!(answer.field("location").is_none());
            }
        }
    }
    assert!(!up.was_asked(), "px_no_wellknown_relay");
}

#[test]
fn health_and_readiness_are_open() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = default_upstream(&up);
    let get = |path: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", agent.address);
        agent.connect().ask(text)
    };
    assert_eq!(get("/health").text(), r#"{"status":"ok"}"#);
    assert_eq!(get("/ready").status(), 200);
    assert_eq!(get("/ready").json()["ready"], true);
    assert_eq!(get("/mcp/health").json()["upstream"], "no_credential");
    publish(&agent.slot("up"), 1);
    assert_eq!(
        get("/mcp/health").text(),
        r#"{"status":"ok","upstream":"ready"}"#
    );
    agent
        .state
        .checks
        .store(std::sync::Arc::new(doorward::web::Checks {
            store: "the keyring is locked".to_owned(),
            ..doorward::web::Checks::default()
        }));
    assert_eq!(get("/ready").status(), 503);
    assert!(!up.was_asked());
}

#[test]
fn the_root_is_chosen_by_what_the_client_accepts() {
    let up = Upstream::scripted(|mut wire| {
        while wire.message().is_some() {
            wire.write(format!("{EVENTS}{}0\r\n\r\n", chunk("data: x\n\n")));
        }
    });
    let agent = default_upstream(&up);
    let info = agent.ask("GET", "/", "accept: */*\r\n", "");
    assert_eq!(info.json()["name"], "doorward");
    let stream = agent.ask("GET", "/", "accept: text/event-stream\r\n", "");
    assert_eq!(stream.text(), "data: x\n\n");
    assert_eq!(stream.field("doorward-origin"), Some("upstream"));
}

#[test]
fn seed_s4_06_the_default_upstream_answers_at_the_old_paths() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = default_upstream(&up);
    for (path, target) in [
        ("/mcp", "/mcp"),
        ("/mcp?x=1", "/mcp?x=1"),
        ("/mcp/", "/mcp"),
        ("/mcp/messages", "/mcp/messages"),
        ("/", "/mcp"),
        ("/messages/1", "/mcp/messages/1"),
        ("/mcpx", "/mcp/mcpx"),
        ("/u/up", "/mcp"),
        ("/u/up/messages", "/mcp/messages"),
    ] {
        let answer = agent.ask("POST", path, "", "{}");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(up.seen().target(), target, "{path}");
    }
}

#[test]
fn without_a_default_upstream_there_is_nothing_at_the_old_paths() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = Agent::before(up.url("/mcp"));
    for path in ["/mcp", "/", "/messages"] {
        assert_eq!(agent.ask("POST", path, "", "{}").status(), 404, "{path}");
    }
    assert!(!up.was_asked());
}

#[test]
fn px_error_origin_marked() {
    let up = Upstream::answering(|request| {
        let fields = match request.field("x-give") {
            Some(id) => format!("x-request-id: {id}\r\n"),
            None => String::new(),
        };
        crate::support::raw::answer("200 OK", &fields, "{}")
    });
    let agent = default_upstream(&up);
    let mut ids = std::collections::HashSet::new();
    for path in ["/health", "/nothing/../x", "/u/none", "/register"] {
        let answer = agent.ask("GET", path, "", "");
        assert_eq!(answer.field("doorward-origin"), Some("local"), "{path}");
        let id = answer.field("x-request-id").expect("an id").to_owned();
        assert!(id.starts_with("r_") && id.len() == 10, "{id}");
        assert!(ids.insert(id));
    }
    let forwarded = agent.post("{}");
    assert_eq!(forwarded.field("doorward-origin"), Some("upstream"));
    assert!(ids.insert(forwarded.field("x-request-id").expect("an id").to_owned()));
    let own = agent.ask("POST", "/u/up", "x-give: theirs\r\n", "{}");
    assert_eq!(own.all("x-request-id"), ["theirs"]);
}

/// A page at `/login/x` that another site may lead to, and one at `/ui` that it may not.
fn with_pages() -> Agent {
    use actix_web::{HttpResponse, web};
    Agent::start(Options {
        pages: doorward::web::Pages {
            owns: std::sync::Arc::new(|_, head| {
                head.uri.path().starts_with("/login/") || head.uri.path() == "/ui"
            }),
            reached_from_elsewhere: std::sync::Arc::new(|_, head| {
                head.uri.path().starts_with("/login/")
            }),
            configure: std::sync::Arc::new(|config| {
                config
                    .route(
                        "/login/{name}",
                        web::get().to(|| async { HttpResponse::Ok().body("l") }),
                    )
                    .route(
                        "/ui",
                        web::get().to(|| async { HttpResponse::Ok().body("ui") }),
                    );
            }),
        },
        ..Options::default()
    })
}

#[test]
fn pages_stand_behind_the_same_guard() {
    let agent = with_pages();
    let elsewhere = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n";
    let embedded = "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n";
    for (path, fields, status) in [
        ("/login/x", "", 200),
        ("/login/x", elsewhere, 200),
        ("/login/x", embedded, 403),
        ("/login/x", "origin: https://evil.example\r\n", 403),
        ("/ui", "", 200),
        ("/ui", elsewhere, 403),
        ("/login/x/y", "", 404),
    ] {
        let answer = agent.ask("GET", path, fields, "");
        assert_eq!(answer.status(), status, "{path} {fields}");
        assert_eq!(answer.field("doorward-origin"), Some("local"));
        assert_eq!(answer.all("x-request-id").len(), 1);
    }
    let foreign = "GET /ui HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(agent.connect().ask(foreign).status(), 421);
    assert_eq!(agent.ask("GET", "/health", "", "").status(), 200);
}

#[test]
fn an_account_is_named_in_the_path() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = Agent::start(Options {
        upstreams: vec![upstream("notion@work", up.url("/mcp"))],
        ..Options::default()
    });
    for path in ["/u/notion@work", "/u/notion%40work"] {
        assert_eq!(agent.ask("POST", path, "", "{}").status(), 200, "{path}");
    }
    assert_eq!(agent.ask("POST", "/u/notion", "", "{}").status(), 404);
}
