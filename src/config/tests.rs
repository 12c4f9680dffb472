use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::id::UpstreamName;
use crate::model::record::StoreKind;

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

fn from_variables(variables: &[(&str, &str)]) -> Loaded {
    match parse("", &inputs(variables)) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
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
    for kind in ["client_credentials", "static", "exec", "passthrough"] {
        let shown = bad(&format!(
            "[upstreams.a]\nurl = \"https://a.example\"\nauth = {{ kind = \"{kind}\", command = 1 }}\n"
        ));
        let said = format!("`upstreams.a.auth.kind` is \"{kind}\", which is not available");
        assert!(shown.contains(&said), "{shown}");
        assert_eq!(shown.matches("error:").count(), 1, "{shown}");
    }
    for line in [
        "client_auth = \"private_key_jwt\"",
        "prefer_device_flow = true",
        "redirect = \"ephemeral\"",
        "client_secret = { keyring = \"x\" }",
    ] {
        let text =
            format!("[upstreams.a]\nurl = \"https://a.example\"\n[upstreams.a.auth]\n{line}\n");
        let shown = bad(&text);
        let loud = shown.contains("not available in this version")
            || shown.contains("this version does not have");
        assert!(loud, "{shown}");
    }
    assert!(bad("[clients.codex]\nttl = \"7d\"\n").contains("`clients` is not available"));
}

#[test]
fn oc_cimd_document_url_is_one_that_every_server_reads_alike() {
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
    assert_eq!(oauth.client_secret, Some(secret));
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

fn edited(text: &str, edit: impl FnOnce(&mut Edition)) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, text).expect("written");
    let mut edition = Edition::open(&file).expect("opens");
    edit(&mut edition);
    edition.save(&inputs(&[])).expect("saves");
    std::fs::read_to_string(&file).expect("read")
}

fn name(text: &str) -> UpstreamName {
    text.parse().expect("a name")
}

const COMMENTED: &str = "# mine\nversion = 1   # one\n\n[upstreams.a]   # first\n\
                         url   = \"https://a.example\"  # here\n\n# the end\n";

#[test]
fn an_edit_changes_nothing_else() {
    let added = edited(COMMENTED, |e| {
        e.add(&name("b"), "https://b.example/", &[]).expect("added");
    });
    assert_eq!(
        added,
        "# mine\nversion = 1   # one\n\n[upstreams.a]   # first\n\
         url   = \"https://a.example\"  # here\n\n[upstreams.b]\nurl = \"https://b.example/\"\n\n# the end\n"
    );
    let off = edited(COMMENTED, |e| e.enable(&name("a"), false).expect("edited"));
    assert!(
        off.contains("url   = \"https://a.example\"  # here\nenabled = false\n"),
        "{off}"
    );
    let back = edited(&added, |e| e.remove(&name("b")).expect("removed"));
    assert_eq!(back, COMMENTED);
    let renamed = edited(COMMENTED, |e| {
        e.rename(&name("a"), &name("c")).expect("renamed");
    });
    assert!(renamed.contains("[upstreams.c]"), "{renamed}");
}

#[test]
fn an_edit_of_a_file_that_is_not_there_makes_a_private_one() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("deep/config.toml");
    let mut edition = Edition::open(&file).expect("opens");
    edition
        .add(&name("a"), "https://a.example", &[])
        .expect("added");
    edition.save(&inputs(&[])).expect("saves");
    let text = std::fs::read_to_string(&file).expect("read");
    assert_eq!(text, "[upstreams.a]\nurl = \"https://a.example\"\n");
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_edit_stands_back_when_the_file_changed_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, COMMENTED).expect("written");
    let mut edition = Edition::open(&file).expect("opens");
    edition.enable(&name("a"), false).expect("edited");
    std::fs::write(&file, "# other\n").expect("written");
    let refused = edition.save(&inputs(&[])).expect_err("refused");
    assert!(matches!(refused, EditError::Changed(_)));
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "# other\n");
}

#[test]
fn an_edit_that_would_break_the_config_is_not_saved() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.toml");
    let mut edition = Edition::open(&file).expect("opens");
    edition.add(&name("a"), "nonsense", &[]).expect("added");
    let refused = edition.save(&inputs(&[])).expect_err("refused");
    assert!(matches!(refused, EditError::Config(_)));
    assert!(!file.exists());
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
    assert_eq!(good(&upstreams.join("\n")).upstreams.len(), 4);
}
