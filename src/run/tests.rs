use std::ffi::OsStr;

use super::*;
use crate::api::AccountState;

fn account(name: &str, account: &str) -> Account {
    let path = if account == "default" {
        name.to_owned()
    } else {
        format!("{name}@{account}")
    };
    Account {
        name: name.to_owned(),
        account: account.to_owned(),
        label: None,
        url: format!("https://{name}.example/mcp"),
        local_url: format!("http://127.0.0.1:5177/u/{path}"),
        auth: "oauth".to_owned(),
        state: AccountState::Ready,
        identity: None,
        scopes: Vec::new(),
        token: None,
        last_used_at: None,
        sessions: 0,
        problem: None,
    }
}

#[test]
fn sessions_are_called_after_program_and_directory() {
    let command = OsStr::new("/usr/local/bin/claude");
    let directory = Some(Path::new("/home/ana/web-app"));
    let client = client("auto", command);
    assert_eq!(client.as_deref(), Some("claude"));
    assert_eq!(
        label(client.as_deref(), command, directory),
        "claude · web-app"
    );
    assert_eq!(label(None, command, Some(Path::new("/"))), "claude");
    assert_eq!(label(Some("mine"), command, None), "mine");
    assert_eq!(super::client("none", command), None);
    assert_eq!(super::client("codex", command).as_deref(), Some("codex"));
    let evil = Path::new("/tmp/\u{1b}[2J");
    assert_eq!(label(None, command, Some(evil)), "claude ·  [2J");
}

#[test]
fn every_granted_upstream_has_a_variable() {
    let all = [
        account("linear", "default"),
        account("my-notes", "home"),
        account("my-notes", "work"),
        account("github", "other"),
        account("github", "default"),
    ];
    let accounts: Vec<_> = all.iter().collect();
    let socket = Path::new("/run/doorward.sock");
    let variables = variables("http://127.0.0.1:5177", "dw_secret", socket, &accounts);
    let at = |path: &str| format!("http://127.0.0.1:5177{path}");
    let expected = [
        ("DOORWARD_SESSION", "dw_secret".to_owned()),
        ("DOORWARD_SOCKET", "/run/doorward.sock".to_owned()),
        ("DOORWARD_URL", at("")),
        ("DOORWARD_URL_GITHUB", at("/u/github")),
        ("DOORWARD_URL_GITHUB_OTHER", at("/u/github@other")),
        ("DOORWARD_URL_LINEAR", at("/u/linear")),
        ("DOORWARD_URL_MY_NOTES", at("/u/my-notes@home")),
        ("DOORWARD_URL_MY_NOTES_HOME", at("/u/my-notes@home")),
        ("DOORWARD_URL_MY_NOTES_WORK", at("/u/my-notes@work")),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.into()));
    assert_eq!(variables, BTreeMap::from(expected));
}

#[test]
fn a_grant_is_found_among_the_accounts() {
    let all = [account("linear", "default"), account("notion", "work")];
    let grant = |upstream: &str, account: &str| GrantedAccount {
        upstream: upstream.to_owned(),
        account: account.to_owned(),
    };
    let found = granted(&[grant("notion", "work"), grant("gone", "default")], &all);
    assert_eq!(found, [&all[1]]);
}

#[test]
fn what_cannot_be_run_says_why() {
    let nothing = BTreeMap::new();
    let missing = turn_into(OsStr::new("no-such-command-at-all"), &[], &nothing);
    assert_eq!(
        (missing.code(), missing.entry().exit),
        (Code::CommandNotFound, 127)
    );
    let missing = turn_into(OsStr::new("/no/such/file"), &[], &nothing);
    assert!(missing.why().contains("no such file"), "{missing}");
    let folder = turn_into(OsStr::new("/"), &[], &nothing);
    assert_eq!(
        (folder.code(), folder.entry().exit),
        (Code::CommandNotExecutable, 126)
    );
}

#[test]
fn servers_have_names_that_agents_take() {
    let all = [account("linear", "default"), account("notion", "work")];
    let servers = servers(&all.iter().collect::<Vec<_>>());
    let names: Vec<_> = servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["linear", "notion-work"]);
    assert_eq!(servers[1].url, "http://127.0.0.1:5177/u/notion@work");
}
