use super::*;

fn servers() -> [Server; 2] {
    let server = |name: &str, path: &str| Server {
        name: name.to_owned(),
        url: format!("http://127.0.0.1:5177/u/{path}"),
    };
    [
        server("linear", "linear"),
        server("my-notes", "my-notes@work"),
    ]
}

fn told(agent: Agent, only: bool, set: Option<&str>) -> Injection {
    let set = |name: &str| set.filter(|_| name == OPENCODE).map(str::to_owned);
    agent.told_of(&servers(), only, set).expect("told")
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
        json!({"Authorization": "Bearer ${DOORWARD_SESSION}"})
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
        r#"mcp_servers.my-notes.url="http://127.0.0.1:5177/u/my-notes@work""#,
        "-c",
        r#"mcp_servers.my-notes.bearer_token_env_var="DOORWARD_SESSION""#,
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
        let refused = Agent::OpenCode.told_of(&servers(), false, |_| Some(set.to_owned()));
        assert_eq!(refused, Err(NotTold::Unreadable), "{set}");
    }
}

#[test]
fn the_others_get_the_environment_only() {
    for client in ["gemini", "goose", "sh", "", "Claude"] {
        assert_eq!(Agent::of(client), None, "{client}");
    }
    for (client, agent) in [
        ("claude", Agent::Claude),
        ("codex", Agent::Codex),
        ("opencode", Agent::OpenCode),
    ] {
        assert_eq!(Agent::of(client), Some(agent));
    }
}
