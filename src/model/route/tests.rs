use proptest::prelude::*;

use super::*;

fn base(url: &str) -> Base {
    Base::new(url).expect("a base URL")
}

fn target(url: &str, tail: &str) -> Result<String, BadTail> {
    base(url)
        .target(tail, None, true)
        .map(|target| target.to_string())
}

#[test]
fn px_target_url_exact() {
    for url in [
        "/mcp",
        "/mcp/",
        "/",
        "/a/b?x=1&y=%20",
        "/MCP/v1/?",
        "/a%2Db",
        "/a;v=1/mcp",
    ] {
        let base = base(&format!("https://mcp.example.com{url}"));
        assert_eq!(base.target("", None, false).expect("identity"), url);
        assert_eq!(base.target("/", None, true).expect("identity"), url);
    }
    let bare = base("https://mcp.example.com");
    assert_eq!(bare.target("", None, false).expect("identity"), "/");
}

#[test]
fn seed_s1_05_an_empty_sub_path_is_the_base_url_exactly() {
    let base = base("http://127.0.0.1:9/mcp?tenant=a");
    let same = base.target("", None, false).expect("identity");
    assert_eq!(same, "/mcp?tenant=a");
    let more = base.target("", Some("x=1"), false).expect("query");
    assert_eq!(more, "/mcp?tenant=a&x=1");
}

#[test]
fn seed_s1_06_a_sub_path_follows_the_base_path() {
    assert_eq!(target("http://h/mcp", "/a/b").as_deref(), Ok("/mcp/a/b"));
    assert_eq!(target("http://h/mcp/", "/a/").as_deref(), Ok("/mcp/a/"));
    assert_eq!(target("http://h", "/a").as_deref(), Ok("/a"));
    let refused = base("http://h/mcp").target("/a", None, false);
    assert_eq!(refused, Err(BadTail::NotAllowed));
}

#[test]
fn paths_that_could_be_read_as_leaving_the_base_are_refused() {
    for tail in [
        "/..",
        "/../x",
        "/a/../../x",
        "/.",
        "/a/./b",
        "/%2e%2e/x",
        "/.%2E/x",
        "/%252e%252e/x",
        "/%25252e%2e/x",
        "/a%2fb",
        "/a%2F..%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%255cb",
        "//evil.example/",
        "/a//b",
        "/..;x=1/b",
        "/..%3bx/b",
        "/.;/b",
        "/a%00b",
        "/a%0d%0ab",
        "/a%3fb",
        "/a%23b",
        "a/b",
    ] {
        assert_eq!(target("http://h/mcp", tail), Err(BadTail::Leaves), "{tail}");
    }
    for tail in [
        "/a;v=1", "/...", "/a..b", "/%41", "/a%20b", "/100%", "/.well", "/a:b@c",
    ] {
        let expected = format!("/mcp{tail}");
        assert_eq!(target("http://h/mcp", tail), Ok(expected), "{tail}");
    }
}

#[test]
fn a_base_names_its_server() {
    let secure = base("https://MCP.Example.com/x");
    assert_eq!(secure.origin().authority, "mcp.example.com");
    assert!(secure.origin().secure);
    assert_eq!(base("http://[::1]:80/x").origin().authority, "[::1]");
    assert_eq!(base("http://h:8080").origin().authority, "h:8080");
    assert_eq!(Base::new("ftp://h/").err(), Some(BadBase::Scheme));
    assert_eq!(Base::new("https://u:p@h/").err(), Some(BadBase::Userinfo));
    assert_eq!(base("https://h/a/../b").path(), "/b", "a parser's reading");
}

#[test]
fn px_response_header_filter() {
    for name in [
        "strict-transport-security",
        "clear-site-data",
        "alt-svc",
        "set-cookie",
        "dpop-nonce",
        "access-control-allow-origin",
        "www-authenticate",
        "proxy-authenticate",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "trailer",
        "te",
    ] {
        assert!(!to_agent(name), "{name}");
    }
    for name in [
        "mcp-session-id",
        "retry-after",
        "cache-control",
        "x-accel-buffering",
        "vary",
        "etag",
        "content-encoding",
        "content-type",
        "x-unknown",
        "x-request-id",
        "content-disposition",
    ] {
        assert!(to_agent(name), "{name}");
    }
}

#[test]
fn px_forwarded_dropped() {
    for name in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "origin",
        "referer",
        "sec-fetch-site",
        "authorization",
        "cookie",
        "dpop",
        "proxy-authorization",
        "host",
        "doorward-session",
        "te",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        assert!(!to_upstream(name), "{name}");
    }
}

#[test]
fn px_unknown_headers_forwarded() {
    for name in [
        "accept",
        "content-type",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-param-x",
        "mcp-session-id",
        "last-event-id",
        "traceparent",
        "tracestate",
        "baggage",
        "x-anything",
        "accept-encoding",
        "user-agent",
    ] {
        assert!(to_upstream(name), "{name}");
    }
}

#[test]
fn headers_named_by_connection_are_found() {
    let values: [&[u8]; 2] = [b"keep-alive, X-Secret ,close", b"Mcp-Session-Id,,TE"];
    let named = named_by_connection(values.into_iter());
    assert!(named.contains("x-secret") && named.contains("mcp-session-id"));
    let usual: [&[u8]; 1] = [b"Keep-Alive"];
    assert_eq!(named_by_connection(usual.into_iter()), Named::default());
}

proptest! {
    #[test]
    fn no_path_leaves_its_base(
        folder in "(/[a-z0-9]{1,4}){1,3}/?",
        tail in "/([a-z.;%/\\\\]|%2e|%2f|%5c|%25|\\.\\./|;){0,12}",
        sub_paths in any::<bool>(),
    ) {
        let written = format!("https://mcp.example.com{folder}");
        let base = base(&written);
        if let Ok(target) = base.target(&tail, None, sub_paths) {
            // However lenient a server is: decode as often as it changes anything, and resolve.
            let mut text = target.path().to_owned();
            loop {
                let decoded = String::from_utf8_lossy(&percent_decode(text.as_bytes())).into_owned();
                let url = Url::parse(&format!("https://mcp.example.com{text}")).expect("a URL");
                prop_assert_eq!(url.host_str(), Some("mcp.example.com"));
                prop_assert!(url.path().starts_with(folder.trim_end_matches('/')), "{}", url);
                if decoded == text {
                    break;
                }
                text = decoded;
            }
        }
    }

    #[test]
    fn empty_tail_is_the_identity(
        path in "(/[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,6}){0,4}/?",
        query in proptest::option::of("[a-z0-9=&%/?]{0,12}"),
    ) {
        let dots = path.split('/').any(|s| matches!(s.split(';').next(), Some("." | "..")));
        prop_assume!(!dots);
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let whole = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let base = base(&format!("https://h.example{whole}"));
        let target = base.target("", None, false).expect("identity");
        prop_assert_eq!(target.as_str(), whole);
    }

    #[test]
    fn headers_named_by_connection_are_gone(name in "x-[a-z]{1,12}") {
        let value = name.to_ascii_uppercase();
        let named = named_by_connection(std::iter::once(value.as_bytes()));
        prop_assert!(named.contains(&name));
    }
}

#[test]
fn a_path_that_is_encoded_over_and_over_is_refused_and_not_worked_at() {
    let base = Base::new("https://h.example/mcp").expect("a URL");
    let encoded = |times: usize| format!("/%{}41", "25".repeat(times));
    for times in 0..4 {
        assert!(base.target(&encoded(times), None, true).is_ok(), "{times}");
    }
    // Every round of decoding is as long as the path is.
    for times in [4, 5, 30_000] {
        let refused = base.target(&encoded(times), None, true);
        assert_eq!(refused, Err(BadTail::Leaves), "{times}");
    }
}
