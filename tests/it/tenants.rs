//! Several accounts of one upstream, several upstreams of one authorization server, and one address
//! under two names.

use serde_json::{Value, json};

use crate::paste::sign_in;
use crate::support::parts::{Daemon, Exchange, Part};

/// Who the upstream took the caller of `segment` for.
fn caller(daemon: &Daemon, upstream: &Part, credential: &str, segment: &str) -> Value {
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    });
    let url = format!("{}/u/{segment}", daemon.url);
    let answer = Exchange::send("POST", &url, &fields, &hello.to_string());
    assert_eq!(answer.status, 200, "{segment}: {}", answer.body);
    let log = upstream.ask("/log");
    let last = log.as_array().and_then(|entries| entries.last());
    last.expect("an entry")["account"].clone()
}

#[test]
fn tl_multi_account_isolation_accounts_of_one_server_share_a_client_and_nothing_else() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let text = format!(
        "[store]\nkind = \"file\"\n\
         [upstreams.ev]\nurl = \"{0}\"\ndefault_account = \"work\"\n\
         [upstreams.ev.accounts.work]\n[upstreams.ev.accounts.home]\n\
         [upstreams.two]\nurl = \"{0}\"\n",
        upstream.url
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    for (account, who) in [("ev", "alice"), ("ev@home", "bob"), ("two", "carol")] {
        authority.tell("/mode", &json!({"account": who}));
        sign_in(&daemon, &authority, &[account]);
    }
    assert_eq!(
        authority.count("registrations"),
        1,
        "one client for all of them"
    );
    assert_eq!(authority.count("authorization_code_grants"), 3);
    let (_, credential) = daemon.mint("test");
    let who = |segment: &str| caller(&daemon, &upstream, &credential, segment);
    assert_eq!(who("ev"), "alice");
    assert_eq!(who("ev@work"), "alice");
    assert_eq!(who("ev@home"), "bob");
    assert_eq!(who("two"), "carol");

    // The client goes with the last of them.
    let deleted = || {
        let log = authority.ask("/log");
        let entries = log.as_array().expect("a list");
        let of = |entry: &&Value| entry["on"] == "register" && entry["method"] == "DELETE";
        entries.iter().filter(of).count()
    };
    assert_eq!(daemon.run(&["logout", "ev@home"]).0, 0);
    assert_eq!((who("ev"), who("two")), (json!("alice"), json!("carol")));
    assert_eq!(daemon.run(&["logout", "two"]).0, 0);
    assert_eq!(deleted(), 0);
    assert_eq!(who("ev"), "alice");
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    assert_eq!(deleted(), 1);
}

/// The grant before serves until the next one is there, and also where none comes.
#[test]
fn a_sign_in_that_fails_leaves_the_one_before_at_work() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    sign_in(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    let (_, credential) = daemon.mint("test");
    let who = || caller(&daemon, &upstream, &credential, "ev");
    assert_eq!(who(), "alice");
    authority.tell("/mode", &json!({"account": "bob", "consent": "deny"}));
    let (code, said) = crate::paste::attempt(&daemon, &authority, &["ev", "--force"]);
    assert_eq!(
        (code, &said["error"]["code"]),
        (6, &json!("login_denied")),
        "{said}"
    );
    assert_eq!(who(), "alice");
    authority.tell("/expire-access-tokens", &json!({}));
    assert_eq!(who(), "alice", "it is refreshed as ever");
    let fault = json!({"kind": "status", "on": "token", "status": 500, "times": 1});
    authority.tell("/mode", &json!({"consent": "allow"}));
    authority.tell("/fault", &fault);
    let (code, said) = crate::paste::attempt(&daemon, &authority, &["ev", "--force"]);
    assert_eq!(
        (code, &said["error"]["code"]),
        (8, &json!("login_failed")),
        "{said}"
    );
    authority.tell("/expire-access-tokens", &json!({}));
    assert_eq!(who(), "alice");
    sign_in(&daemon, &authority, &["ev", "--force"]);
    assert_eq!(who(), "bob");
}
