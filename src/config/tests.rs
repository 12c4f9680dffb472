use std::path::PathBuf;
use std::time::Duration;

mod unattended;

use proptest::prelude::*;

use super::*;

mod edits;
mod variables;

fn inputs(variables: &[(&str, &str)]) -> Inputs {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs {
        file: PathBuf::from("/home/ana/.config/doorward/config.toml"),
        variables: variables.iter().map(pair).collect(),
        ..Inputs::default()
    }
}

fn good(text: &str) -> Config {
    match parse(text, &inputs(&[])) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}"),
    }
}

fn bad(text: &str) -> String {
    match parse(text, &inputs(&[])) {
        Ok(loaded) => panic!("accepted: {:?}", loaded.config),
        Err(error) => error.render(),
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(good(""), Config::default());
    assert_eq!(good("version = 1\n[server]\n"), Config::default());
}

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_the_nearest_key() {
    let head = "[upstreams.linear]\nurl = \"https://mcp.linear.app/mcp\"\n";
    let text = format!(
        "{head}{}[upstreams.linear.auth]\nscope = \"read\"\n",
        "\n".repeat(27)
    );
    assert_eq!(
        bad(&text),
        "error: unknown key `scope` in [upstreams.linear.auth]\n  \
           --> config.toml:31:1\n   \
            |\n\
         31 | scope = \"read\"\n   \
            | ^^^^^ did you mean `scopes` (an array)?\n"
    );
}

#[test]
fn every_mistake_is_shown_at_once_in_the_order_of_the_file() {
    let shown = bad(
        "[server]\nport = \"x\"\nbnd = 1\n[sessions]\nidle = \"40d\"\n\
                     [upstreams.Bad]\n[upstreams.a]\nurl = \"ftp://x\"\n[login]\nhold = 3\n",
    );
    let errors: Vec<&str> = shown.lines().filter(|l| l.starts_with("error:")).collect();
    assert_eq!(
        errors,
        [
            "error: `server.port` must be a port, 0 to 65535",
            "error: unknown key `bnd` in [server]",
            "error: `sessions.idle` must not be longer than `ttl`",
            "error: `Bad` cannot be a name",
            "error: `upstreams.Bad.url` is missing",
            "error: `upstreams.a.url` must be an address such as \"https://mcp.example.com/mcp\"",
            "error: `login.hold` must be a duration such as \"90s\", \"30m\" or \"12h\", or \"off\"",
        ]
    );
    assert!(
        shown.contains(
            "error: `sessions.idle` must not be longer than `ttl`\n  --> config.toml:5:8\n  |\n\
         5 | idle = \"40d\"\n  |        ^^^^^ 40d is longer than `ttl`, 30d\n  help: an unused"
        ),
        "{shown}"
    );
}

#[test]
fn text_that_is_not_toml_has_a_place() {
    let shown = bad("[server\nport = 1\n");
    assert!(shown.contains("this is not TOML"), "{shown}");
    assert!(shown.contains("--> config.toml:1:"), "{shown}");
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let shown = bad(
        "[upstreams.a]\nurl = \"https://a.example\"\n[upstreams.a.auth]\n\
                     client_id = \"x\"\nclient_secret = \"hunter2\"\n",
    );
    assert!(
        shown.contains("must say where the secret is, not what it is"),
        "{shown}"
    );
    assert!(shown.contains("client_secret = \"*******\""), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn kinds_that_this_version_lacks_are_named_loudly() {
    assert!(bad("[clients.codex]\nttl = \"7d\"\n").contains("`clients` is not available"));
}

#[test]
fn oc_cimd_document_valid_at_a_url_that_every_server_reads_alike() {
    let with = |line: &str| {
        format!("[upstreams.a]\nurl = \"https://a.example\"\n[upstreams.a.auth]\n{line}\n")
    };
    let url = |url: &str| with(&format!("client_metadata_url = \"{url}\""));
    let config = good(&url("https://id.example/doorward/client.json"));
    let upstream = config.upstreams.values().next().expect("one");
    assert_eq!(
        upstream
            .auth
            .oauth()
            .expect("oauth")
            .client_metadata_url
            .as_deref(),
        Some("https://id.example/doorward/client.json")
    );
    for wrong in [
        "http://id.example/c",
        "https://id.example",
        "https://id.example/",
        "https://id.example/a/../c",
        "https://id.example/./c",
        "https://ID.example/c",
        "https://id.example:443/c",
        "https://id.example/c#x",
        "https://me@id.example/c",
        "client.json",
    ] {
        let shown = bad(&url(wrong));
        assert!(
            shown.contains("must be an address such as"),
            "{wrong}: {shown}"
        );
    }
    let also = "client_metadata_url = \"https://id.example/c\"\n";
    for (line, said) in [
        ("client_id = \"x\"", "one too many"),
        ("register = \"dynamic\"", "would not be used"),
    ] {
        let shown = bad(&with(&format!("{also}{line}")));
        assert!(shown.contains(said), "{shown}");
    }
    assert!(bad(&with("register = \"metadata-document\"")).contains("leaves no client"));
    good(&with(&format!("{also}register = \"metadata-document\"")));
}

#[test]
fn the_address_of_an_upstream_is_kept_as_it_was_written() {
    for url in [
        "https://api.githubcopilot.com/mcp/",
        "https://mcp.example.com/mcp",
        "https://mcp.example.com/mcp?team=a%20b",
        "HTTPS://MCP.example.com",
        "http://127.0.0.1:8080/mcp",
    ] {
        let config = good(&format!("[upstreams.a]\nurl = \"{url}\"\n"));
        assert_eq!(config.upstream("a").expect("there").url.as_str(), url);
    }
}

#[test]
fn plain_http_leaves_this_machine_only_where_allowed() {
    let text = "[upstreams.a]\nurl = \"http://mcp.example.com/mcp\"\n";
    assert!(bad(text).contains("tokens would cross the network in the clear"));
    let config = good(&format!("{text}allow_http = true\n"));
    assert!(config.upstream("a").expect("there").allow_http);
}

#[test]
fn accounts_have_a_usual_one() {
    let text = "[upstreams.notion]\nurl = \"https://n.example\"\n[upstreams.notion.accounts.work]\n\
                [upstreams.notion.accounts.home]\nscopes = [\"read\"]\n";
    assert!(bad(text).contains("`upstreams.notion.default_account` is missing"));
    let config = good(&text.replace("example\"\n", "example\"\ndefault_account = \"work\"\n"));
    let (_, account) = config.account("notion").expect("known");
    assert_eq!(account.to_string(), "notion@work");
    assert!(config.account("notion@home").is_some());
    assert!(config.account("notion@other").is_none());
    assert_eq!(config.accounts().count(), 2);
    let plain = good("[upstreams.a]\nurl = \"https://a.example\"\n");
    assert_eq!(plain.account("a").expect("known").1.to_string(), "a");
}

#[test]
fn settings_are_inherited_from_the_defaults() {
    let text = "[defaults]\nconnect_timeout = \"9s\"\nvia = false\n[upstreams.a]\n\
                url = \"https://a.example\"\nmax_concurrency = 2\n";
    let config = good(text);
    let upstream = config.upstream("a").expect("there");
    assert_eq!(upstream.connect_timeout, Duration::from_secs(9));
    assert!(!upstream.via);
    assert_eq!(upstream.max_concurrency, 2);
    let loaded = parse(text, &inputs(&[])).expect("right");
    let of = |key: &str| {
        let found = loaded.settings.iter().find(|setting| setting.key == key);
        found.map(|setting| (setting.value.as_str(), setting.source.to_string()))
    };
    let config = || "config".to_owned();
    assert_eq!(
        of("upstreams.a.connect_timeout"),
        Some(("\"9s\"", config()))
    );
    assert_eq!(of("server.port"), Some(("5177", "default".to_owned())));
}

#[test]
fn ls_bind_loopback_default_and_addresses_that_others_can_reach_are_refused() {
    assert!(Config::default().server.bind.is_loopback());
    assert!(good("[server]\nport = 1\n").server.bind.is_loopback());
    for variables in [
        &[("BIND", "0.0.0.0")][..],
        &[("DOORWARD__SERVER__BIND", "192.168.0.2")],
    ] {
        let error = parse("", &inputs(variables)).expect_err("refused");
        assert_eq!(error.problem().code(), Code::RemoteBindRefused);
        assert_eq!(error.problem().entry().exit, 7);
        assert!(error.render().contains("doorward will not listen on"));
    }
}

#[test]
fn headers_that_doorward_sets_itself_are_refused() {
    let text =
        "[upstreams.a]\nurl = \"https://a.example\"\nheaders = { Authorization = \"Bearer x\" }\n";
    let shown = bad(text);
    assert!(
        shown.contains("cannot be set here") && !shown.contains("Bearer x"),
        "{shown}"
    );
}

fn some_config() -> impl Strategy<Value = Config> {
    let upstream = ("[a-e]", "[x-z]", any::<bool>());
    proptest::collection::vec(upstream, 0..6).prop_map(|upstreams| {
        let mut text = String::new();
        let mut seen = std::collections::BTreeSet::new();
        for (name, host, enabled) in upstreams {
            if seen.insert(name.clone()) {
                let url = format!("url = \"https://{host}.example\"");
                text += &[
                    format!("[upstreams.{name}]"),
                    url,
                    format!("enabled = {enabled}\n"),
                ]
                .join("\n");
            }
        }
        good(&text)
    })
}

/// Lines that are nearly a configuration.
fn some_lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "\\[(server|sessions|upstreams\\.[a-zé]|upstreams\\.a\\.auth|refresh)\\]",
        "(port|ttl|url|kind|scope|bind|auth|idle|max|client_secret) = (\"[a-z0-9:/.{}$%é]{0,12}\"|[0-9]{1,25}|true|\\[1\\]|\\{ env = \"A\" \\})",
        "[\\PC\t]{0,20}",
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_mistake_has_a_line(text in some_lines()) {
        if let Err(error) = parse(&text, &inputs(&[])) {
            prop_assert!(!error.mistakes.is_empty());
            for mistake in &error.mistakes {
                let at = error.position(mistake).expect("everything came from the file");
                prop_assert!(at.line >= 1 && at.line <= text.matches('\n').count() + 1);
            }
            prop_assert!(!error.render().is_empty());
        }
    }

    #[test]
    fn any_bytes_of_text_are_survived(text in "\\PC*|[\\x00-\\x7f]{0,64}") {
        let _ = parse(&text, &inputs(&[])).map_err(|error| error.render());
    }

    #[test]
    fn changes_applied_to_the_old_configuration_give_the_new(old in some_config(), new in some_config()) {
        let changes = Changes::between(&old, &new);
        let mut upstreams = old.upstreams.clone();
        changes.apply(&mut upstreams);
        prop_assert_eq!(&upstreams, &new.upstreams);
        prop_assert_eq!(changes.is_empty(), old.upstreams == new.upstreams);
    }
}

#[test]
fn the_example_is_right_and_says_the_defaults() {
    let example = include_str!("example.toml");
    assert_eq!(good(example), Config::default());
    let keys = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let live: Vec<&str> = example
        .lines()
        .filter(keys)
        .map(|line| &line[1..])
        .collect();
    assert!(live.len() > 40);
    assert_eq!(good(&live.join("\n")), Config::default());
    let start = example.find("# [upstreams.linear]").expect("there");
    let lines = example[start..].lines();
    let upstreams: Vec<&str> = lines
        .map(|line| line.trim_start_matches("# "))
        .filter(|line| !line.ends_with(':') && *line != "#")
        .collect();
    assert_eq!(good(&upstreams.join("\n")).upstreams.len(), 13);
}
