//! A sign-in as a browser and the provider see it, on real parts.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, Exchange, Part, signed_in};

/// A sign-in on its way: everything that is secret about it.
pub(super) struct Walk {
    login: std::process::Child,
    talk: BufReader<std::process::ChildStderr>,
    said: String,
    link: String,
    pub(super) cookie: String,
    pub(super) back: String,
}

impl Walk {
    /// Up to where the provider sends the browser back, which is not followed yet.
    pub(super) fn start(daemon: &Daemon, authority: &Part, arguments: &[&str]) -> Self {
        let mut login = daemon
            .command()
            .args(["login", "--no-browser", "--force"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut talk = BufReader::new(login.stderr.take().expect("piped"));
        let (mut word, mut said) = (String::new(), String::new());
        while !word.contains("/login/") {
            word.clear();
            let read = talk.read_line(&mut word).expect("talk");
            assert_ne!(read, 0, "no link: {said}");
            said += &word;
        }
        let link = word.trim().to_owned();
        let page = Exchange::get(&link);
        let cookie = page.field("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let authorize = page.field("location").expect("on to the provider");
        let walked = authority.tell("/sign-in", &json!({"url": authorize, "deliver": false}));
        let back = walked["location"].as_str().expect("a way back").to_owned();
        Self {
            login,
            talk,
            said,
            link,
            cookie,
            back,
        }
    }

    pub(super) fn land(&self, cookie: &str) -> Exchange {
        Exchange::send("GET", &self.back, &[("cookie", cookie)], "")
    }

    /// A parameter of the way back.
    fn secret(&self, name: &str) -> String {
        let (_, query) = self.back.split_once('?').expect("a query");
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(other, _)| *other == name);
        named.next().expect("it is there").1.to_owned()
    }

    /// What the command said until it ended.
    pub(super) fn end(mut self) -> (bool, String) {
        let mut rest = String::new();
        self.talk.read_to_string(&mut rest).expect("talk");
        (self.login.wait().expect("it ends").success(), rest)
    }
}

fn parts(config: &Value) -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(config);
    let upstream = Part::resource_server(&authority);
    (authority, upstream, Daemon::start())
}

fn echo(daemon: &Daemon, agent: &Agent) -> String {
    let params = json!({"name": "echo", "arguments": {"message": "hello"}});
    daemon.call(agent, "tools/call", &params).body
}

#[test]
fn oc_callback_response_hardening_and_ls_html_hardening() {
    let (authority, upstream, daemon) = parts(&json!({}));
    let walk = Walk::start(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    let forged = format!(
        "{}/oauth/callback?state=%3Cscript%3E&error=%3Cb%3E",
        daemon.url
    );
    let pages = [
        Exchange::get(&forged),
        Exchange::get(&walk.back),
        walk.land(&walk.cookie),
        walk.land(&walk.cookie),
    ];
    let statuses = pages.each_ref().map(|page| page.status);
    assert_eq!(statuses, [400, 400, 200, 400], "the code is taken once");
    for page in pages {
        assert_eq!(page.field("cache-control"), Some("no-store"));
        assert_eq!(page.field("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
        let policy = page.field("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
        for foreign in ["<script", "<img", "<link", "src=", "href=", "<b>"] {
            assert!(!page.body.contains(foreign), "{foreign} in {}", page.body);
        }
        for secret in ["code", "state"].map(|name| walk.secret(name)) {
            assert!(!page.body.contains(&secret));
        }
    }
    assert_eq!(authority.count("code_requests"), 1);
    assert!(walk.end().0);
}

#[test]
fn se_login_user_binding() {
    let (authority, upstream, daemon) = parts(&json!({}));
    let walk = Walk::start(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    let (name, value) = walk.cookie.split_once('=').expect("a pair");
    // Another user or an agent may have seen the way back; without the cookie of the browser that
    // opened the person's link it finishes nothing, and uses nothing up.
    for cookie in [
        "",
        "other=1",
        &format!("{name}="),
        &format!("{name}={}", &value[1..]),
        &format!("x{name}={value}"),
    ] {
        assert_eq!(walk.land(cookie).status, 400, "{cookie}");
    }
    // Nor does the link without its ticket, or with that of another account.
    let (page, ticket) = walk.link.split_once("?t=").expect("a ticket");
    for link in [
        page.to_owned(),
        format!("{page}?t={}", &ticket[1..]),
        format!("{}/login/other?t={ticket}", daemon.url),
    ] {
        let answer = Exchange::get(&link);
        assert_eq!(answer.status, 400, "{link}");
        assert_eq!(answer.field("set-cookie"), None);
    }
    assert_eq!(authority.count("code_requests"), 0);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
}

#[test]
fn tl_log_redaction() {
    let (authority, upstream, daemon) = parts(&json!({}));
    let walk = Walk::start(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    let (_, ticket) = walk.link.split_once("?t=").expect("a ticket");
    let (_, cookie) = walk.cookie.split_once('=').expect("a pair");
    let mut secrets = vec![
        ticket.to_owned(),
        cookie.to_owned(),
        walk.secret("code"),
        walk.secret("state"),
    ];
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
    let agent = daemon.agent("one");
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    let (code, _) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 0);
    secrets.push(agent.credential.clone());
    // Errors tell no secret either.
    authority.tell("/revoke-grants", &json!({}));
    let (code, _) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 4);
    let mut told = daemon.log();
    assert!(told.contains("credential published") && told.contains("sign-in needed"));
    for command in [
        &["status"][..],
        &["ctl", "sessions"],
        &["upstream", "show", "ev"],
    ] {
        told += &daemon.run(command).1.to_string();
    }
    for secret in secrets {
        assert!(!told.contains(&secret), "{secret}");
    }
    for word in [
        "Bearer dw_",
        "code_verifier=",
        "refresh_token=",
        "client_secret=",
    ] {
        assert!(!told.contains(word), "{word}");
    }
}

#[test]
fn tl_invalid_client_reregister() {
    let (authority, _upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    assert_eq!(authority.count("registrations"), 1);
    authority.tell("/forget-clients", &json!({}));
    let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 4, "a sign-in is needed: {answer}");
    // The registration of before is worth nothing any more; the next sign-in makes another.
    daemon.sign_in(&authority, "ev");
    assert_eq!(authority.count("registrations"), 2);
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 0, "{answer}");
}

#[test]
fn tl_failure_isolation_a_refresh_that_hangs_holds_up_its_own_upstream_only() {
    let (authority, _upstream, daemon) = signed_in(&json!({}));
    let other = Part::authorization_server(&json!({}));
    let behind = Part::resource_server(&other);
    let walk = Walk::start(&daemon, &other, &[&behind.url, "--name", "two"]);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
    let agent = daemon.agent("one");
    other.tell("/fault", &json!({"on": "token", "kind": "hang"}));
    let mut hanging = daemon
        .command()
        .args(["ctl", "refresh", "two", "-o", "json"])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let held = other.ask("/wait?count=held&at_least=1&timeout_ms=20000");
    assert_eq!(held["reached"], true, "the refresh hangs");
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 0, "{answer}");
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    assert_eq!(authority.count("refresh_ok"), 1);
    assert!(
        hanging.try_wait().expect("ours").is_none(),
        "it hangs still"
    );
    other.tell("/release", &json!({}));
    hanging.wait().expect("it ends");
}

#[test]
fn px_session_survives_restart() {
    let (authority, upstream, mut daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    let (code, _) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 0);
    assert!(echo(&daemon, &agent).contains("Echo: hello"), "a new token");
    daemon.kill();
    daemon.serve();
    assert!(
        echo(&daemon, &agent).contains("Echo: hello"),
        "a new daemon"
    );
    assert_eq!(upstream.count("sessions"), 1, "one MCP session throughout");
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn seed_s1_13_it_works_whether_the_sign_in_came_before_or_after_the_start() {
    let (authority, upstream, mut daemon) = parts(&json!({}));
    let (code, added) = daemon.run(&["upstream", "add", "ev", &upstream.url]);
    assert_eq!(code, 0, "{added}");
    let (id, credential) = daemon.mint("early");
    let early = Agent::known(id, credential);
    let answer = daemon.call(&early, "ping", &json!({}));
    assert!(answer.body.contains("login_required"), "{}", answer.body);
    daemon.sign_in(&authority, "ev");
    let after = daemon.agent("after");
    assert!(echo(&daemon, &after).contains("Echo: hello"));
    daemon.kill();
    daemon.serve();
    let before = daemon.agent("before");
    assert!(echo(&daemon, &before).contains("Echo: hello"));
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn seed_s4_05_sign_in_and_client_are_kept_and_access_tokens_are_renewed_unasked() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    daemon.kill();
    let granted = authority.ask("/log");
    let issued = granted.as_array().expect("a list");
    assert!(
        issued
            .iter()
            .any(|entry| entry["issued_refresh_sha256"].is_string())
    );
    daemon.serve();
    // Nothing but the kept refresh token and client could bring this access token.
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    assert_eq!(
        authority.count("refresh_ok"),
        1,
        "the one of before was in memory only"
    );
    authority.tell("/expire-access-tokens", &json!({}));
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    assert_eq!(authority.count("refresh_ok"), 2);
    assert_eq!(authority.count("registrations"), 1);
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn seed_s4_07_messages_name_the_way_out() {
    let (authority, upstream, daemon) = parts(&json!({"refresh_tokens": "never"}));
    // Without a refresh token the sign-in works, and says which scope would bring one.
    let walk = Walk::start(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    let (ok, said) = walk.end();
    assert!(ok && said.contains("gave no refresh token"), "{said}");
    assert!(said.contains("--add-scopes offline_access"), "{said}");
    // Not signed in.
    let (code, _) = daemon.run(&["logout", "ev"]);
    assert_eq!(code, 0);
    let (id, credential) = daemon.mint("one");
    let answer = daemon.call(&Agent::known(id, credential), "ping", &json!({}));
    let told = &answer.json()["error"]["message"];
    let told = told.as_str().expect("a text");
    assert!(told.contains(&daemon.typed("login ev")), "{told}");
    // Nothing to discover: the settings that would replace it are named.
    let nothing = format!("{}/not-here", authority.url);
    let (code, failed) = daemon.run(&["login", &nothing, "--name", "odd", "--no-browser"]);
    assert_eq!(code, 8, "{failed}");
    assert_eq!(failed["error"]["code"], "discovery_failed");
    let text = failed.to_string();
    assert!(
        text.contains("authorization_endpoint") && text.contains("issuer"),
        "{text}"
    );
}

#[test]
fn se_new_issuer_confirmation() {
    let host = |part: &Part| part.url.strip_prefix("http://").expect("http").to_owned();
    let (authority, upstream, daemon) = parts(&json!({}));
    let other = Part::authorization_server(&json!({}));
    let walk = Walk::start(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    assert!(
        walk.said.contains(&format!("at {}\n", host(&authority))),
        "{}",
        walk.said
    );
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
    let agent = daemon.agent("one");

    // The upstream names another server: nobody is led there before they have agreed, also when
    // the sign-in of before is gone.
    upstream.tell(
        "/mode",
        &json!({"issuer": other.url, "check": other.control}),
    );
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    let asked = daemon
        .command()
        .args(["login", "ev", "--no-browser", "--force"])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(6), "{said}");
    assert!(
        said.contains(&host(&other)) && said.contains(&host(&authority)),
        "{said}"
    );
    assert!(!said.contains("/login/ev?t="), "{said}");
    assert_eq!(other.count("authorize_requests"), 0);

    // Agreed to: the new server registers us, and the old one has no part in it (OC-28).
    let before = authority.count("token_requests");
    let walk = Walk::start(&daemon, &other, &["ev", "--yes"]);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
    // What was begun under the old one is over (PX-26).
    let over = echo(&daemon, &agent);
    assert!(over.contains("mcp_session"), "{over}");
    let agent = daemon.agent("two");
    assert!(echo(&daemon, &agent).contains("Echo: hello"));
    assert_eq!(other.count("registrations"), 1);
    assert_eq!(authority.count("token_requests"), before);
    // It is the known one from now on.
    let walk = Walk::start(&daemon, &other, &["ev"]);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
}
