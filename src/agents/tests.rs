use super::*;

fn servers() -> [Server; 2] {
    let server = |name: &str, path: &str| Server {
        name: name.to_owned(),
        reference: path.to_owned(),
        url: format!("http://127.0.0.1:5177/u/{path}"),
    };
    [
        server("linear", "linear"),
        server("my-notes", "my-notes@work"),
    ]
}

/// What tells an agent on a machine where `set` is what all its variables hold, and `there` the
/// only file.
fn try_told(
    agent: Agent,
    only: bool,
    set: Option<&str>,
    there: Option<&str>,
    arguments: &[&str],
) -> Result<Injection, NotTold> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    agent.told_of(
        &servers(),
        &Surroundings {
            only,
            arguments: &arguments,
            set: &|name| {
                set.filter(|_| !name.contains("DEFAULTS"))
                    .map(str::to_owned)
            },
            exists: &|path| there.is_some_and(|there| path.ends_with(there)),
            folder: Path::new("/state/my agents"),
            of_root: there != Some("others"),
            program: Path::new("/usr/bin/doorward"),
            same_daemon: &["--state-dir".into(), "/state".into()],
        },
    )
}

fn told(agent: Agent, only: bool, set: Option<&str>) -> Injection {
    try_told(agent, only, set, None, &["session"]).expect("told")
}

fn json_of(text: &OsString) -> Value {
    serde_json::from_str(text.to_str().expect("text")).expect("JSON")
}

#[test]
fn seed_s1_12_an_agents_entry_is_http_and_names_the_variable_only() {
    let told = told(Agent::Claude, false, None);
    let [flag] = told.arguments.as_slice() else {
        panic!("one word: {told:?}");
    };
    let config = flag
        .to_str()
        .and_then(|flag| flag.strip_prefix("--mcp-config="));
    let config = json_of(&config.expect("the flag and its value").into());
    let entry = &config["mcpServers"]["linear"];
    assert_eq!(entry["type"], "http");
    assert_eq!(entry["url"], "http://127.0.0.1:5177/u/linear");
    assert_eq!(
        entry["headers"],
        json!({"Authorization": "Bearer ${DOORWARD_SESSION}", "doorward-errors": "result"})
    );
    assert_eq!(config["mcpServers"].as_object().map(Map::len), Some(2));
    assert_eq!(told.variables, []);
}

#[test]
fn claude_can_be_told_of_no_others() {
    let told = told(Agent::Claude, true, None);
    assert_eq!(told.arguments[1..], [OsString::from("--strict-mcp-config")]);
}

#[test]
fn codex_is_told_setting_by_setting() {
    let told = told(Agent::Codex, false, None);
    let expected = [
        "-c",
        r#"mcp_servers.linear.url="http://127.0.0.1:5177/u/linear""#,
        "-c",
        r#"mcp_servers.linear.bearer_token_env_var="DOORWARD_SESSION""#,
        "-c",
        r#"mcp_servers.linear.http_headers={doorward-errors="result"}"#,
        "-c",
        r#"mcp_servers.my-notes.url="http://127.0.0.1:5177/u/my-notes@work""#,
        "-c",
        r#"mcp_servers.my-notes.bearer_token_env_var="DOORWARD_SESSION""#,
        "-c",
        r#"mcp_servers.my-notes.http_headers={doorward-errors="result"}"#,
    ];
    assert_eq!(told.arguments, expected.map(OsString::from));
    for setting in told.arguments.iter().skip(1).step_by(2) {
        let text = setting.to_str().expect("text");
        toml::from_str::<toml::Table>(text).expect("TOML, as codex reads it");
    }
}

#[test]
fn opencode_keeps_what_is_set() {
    let entry = json!({
        "type": "remote", "url": "http://127.0.0.1:5177/u/linear", "oauth": false,
        "enabled": true, "headers": {"Authorization": "Bearer {env:DOORWARD_SESSION}"},
    });
    for set in [None, Some(""), Some("{}")] {
        let told = told(Agent::OpenCode, false, set);
        assert_eq!(told.arguments, Vec::<OsString>::new());
        let [(OPENCODE, text)] = told.variables.as_slice() else {
            panic!("one variable: {told:?}");
        };
        assert_eq!(json_of(text)["mcp"]["linear"], entry);
    }
    let set = r#"{"theme":"x","mcp":{"mine":{"type":"local"},"linear":{"type":"local"}}}"#;
    let told = told(Agent::OpenCode, false, Some(set));
    let config = json_of(&told.variables[0].1);
    assert_eq!(config["theme"], "x");
    assert_eq!(config["mcp"]["mine"]["type"], "local");
    assert_eq!(config["mcp"]["linear"], entry);
    for set in ["[]", "{", r#"{"mcp":1}"#] {
        let refused = try_told(Agent::OpenCode, false, Some(set), None, &[]);
        assert_eq!(refused, Err(NotTold::Unreadable), "{set}");
    }
}

#[test]
fn the_others_get_the_environment_only() {
    for client in ["sh", "", "Claude"] {
        assert_eq!(Agent::of(client), None, "{client}");
    }
    for (client, agent) in [
        ("claude", Agent::Claude),
        ("codex", Agent::Codex),
        ("opencode", Agent::OpenCode),
        ("gemini", Agent::Gemini),
        ("goose", Agent::Goose),
    ] {
        assert_eq!(Agent::of(client), Some(agent));
    }
}

#[test]
fn gemini_is_pointed_to_settings_without_a_secret() {
    let told_plain = told(Agent::Gemini, false, None);
    let [(path, Content::Text(text))] = told_plain.files.as_slice() else {
        panic!("one file: {told_plain:?}");
    };
    let config = json_of(&text.into());
    assert_eq!(
        config["mcpServers"]["my-notes"],
        json!({
            "httpUrl": "http://127.0.0.1:5177/u/my-notes@work",
            "headers": {"Authorization": "Bearer $DOORWARD_SESSION"},
        })
    );
    let variables = told_plain.variables.iter();
    let at = |name: &str| {
        variables
            .clone()
            .find(|(it, _)| *it == name)
            .map(|(_, at)| at)
    };
    assert_eq!(
        at("GEMINI_CLI_SYSTEM_SETTINGS_PATH"),
        Some(&path.clone().into_os_string())
    );
    let defaults = at("GEMINI_CLI_SYSTEM_DEFAULTS_PATH").expect("set");
    assert!(Path::new(defaults).ends_with("system-defaults.json"));
    assert_eq!(told_plain.arguments, Vec::<OsString>::new());
    assert_eq!(
        told(Agent::Gemini, false, None),
        told_plain,
        "the same file again"
    );
    let only = told(Agent::Gemini, true, None);
    let flags =
        ["linear", "my-notes"].map(|it| OsString::from(format!("--allowed-mcp-server-names={it}")));
    assert_eq!(only.arguments, flags);
}

#[test]
fn settings_of_the_machine_are_not_replaced() {
    let set = try_told(Agent::Gemini, false, Some("/mine.json"), None, &[]);
    assert_eq!(set, Err(NotTold::InUse("/mine.json".into())));
    let others = try_told(Agent::Gemini, false, None, Some("others"), &[]);
    assert_eq!(others, Err(NotTold::NotOfRoot), "it would be skipped");
    let there = try_told(Agent::Gemini, false, None, Some("settings.json"), &[]);
    assert!(matches!(there, Err(NotTold::InUse(_))), "{there:?}");
}

#[test]
fn goose_is_given_a_bridge_for_each_server() {
    let told = told(Agent::Goose, false, None);
    let command = |name: &str, reference: &str| {
        format!("'/state/my agents/{name}' bridge {reference} --state-dir /state")
    };
    let expected = [
        "--with-extension".to_owned(),
        command("linear", "linear"),
        "--with-extension".to_owned(),
        command("my-notes", "my-notes@work"),
    ];
    assert_eq!(told.arguments, expected.map(OsString::from));
    assert_eq!(told.behind, 1, "behind the word `session`");
    let link = Content::Link("/usr/bin/doorward".into());
    assert_eq!(told.files[1], ("/state/my agents/my-notes".into(), link));
    for (arguments, tells) in [
        (&["run", "-t", "x"][..], true),
        (&["session", "--resume"], true),
        (&["session", "list"], false),
        (&["configure"], false),
        (&[], false),
    ] {
        let told = try_told(Agent::Goose, false, None, None, arguments).expect("told");
        assert_eq!(!told.arguments.is_empty(), tells, "{arguments:?}");
    }
}
