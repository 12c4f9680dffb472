//! `connect` and `disconnect` without a daemon: what is written, what is refused, what comes back.

#[cfg(target_os = "linux")]
mod asked;
mod entries;
mod refused;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{Home, Ran, run};

const TWO: &str = "[upstreams.linear]\nurl = \"https://mcp.linear.app/mcp\"\n\
                   [upstreams.notion]\nurl = \"https://mcp.notion.com/mcp\"\n\
                   [upstreams.off]\nurl = \"https://off.example/mcp\"\nenabled = false\n";

const CLAUDE: &str = "{\n   \"numStartups\": 3,\n   \"mcpServers\": {}\n}\n";

/// A home with two upstreams.
fn home() -> Home {
    let home = Home::new();
    home.write("state/config.toml", TWO);
    let state = home.path("state");
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).expect("ours");
    home
}

fn doorward(home: &Home, arguments: &[&str]) -> Ran {
    run(home.doorward().args(arguments))
}

fn read(home: &Home, name: &str) -> String {
    fs::read_to_string(home.path(name)).expect("a file")
}

fn json_of(home: &Home, name: &str) -> Value {
    serde_json::from_str(&read(home, name)).expect("JSON")
}

/// Claude Code is disconnected, its file is as it was, and nothing is remembered.
fn ends(home: &Home) {
    let ran = doorward(home, &["disconnect", "claude", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(read(home, ".claude.json"), CLAUDE);
    let ran = doorward(home, &["disconnect", "claude"]);
    let told = "claude is not connected by doorward here: nothing to undo\n";
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "", told)
    );
    assert_eq!(read(home, ".claude.json"), CLAUDE);
}

#[test]
fn a_client_is_connected_and_disconnected() {
    let home = home();
    home.write(".claude.json", CLAUDE);
    let ran = doorward(&home, &["connect", "claude", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out
            .starts_with("Claude Code · user scope · ~/.claude.json · helper\n  line 3\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("\n  +       \"linear\": {\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("✓ Wrote ~/.claude.json · undo: doorward disconnect claude\n")
    );
    assert!(
        !ran.out.contains("numStartups"),
        "what stays is not shown: {}",
        ran.out
    );
    assert!(ran.err.contains("next: restart Claude Code"), "{}", ran.err);
    let servers = &json_of(&home, ".claude.json")["mcpServers"];
    let names: Vec<_> = servers.as_object().expect("a map").keys().collect();
    assert_eq!(
        names,
        ["linear", "notion"],
        "the one that is off is not there"
    );
    assert_eq!(servers["linear"]["url"], "http://127.0.0.1:5177/u/linear");
    // The command finds the daemon of this state directory, whoever runs it.
    let helper = servers["linear"]["headersHelper"]
        .as_str()
        .expect("a command");
    let state = home.path("state").display().to_string();
    let end = format!(" --state-dir {state} session headers --client claude");
    assert!(
        helper.starts_with('/') && helper.ends_with(&end),
        "{helper}"
    );

    let written = read(&home, ".claude.json");
    let ran = doorward(&home, &["connect", "claude"]);
    assert_eq!(
        (ran.code, read(&home, ".claude.json")),
        (0, written),
        "{}",
        ran.err
    );
    assert_eq!(
        ran.out,
        "✓ ~/.claude.json is right already: linear, notion\n"
    );

    ends(&home);
}

#[test]
fn every_client_gets_a_file_that_was_not_there_and_loses_it_again() {
    for (client, file) in [
        ("claude", ".claude.json"),
        ("codex", ".codex/config.toml"),
        ("opencode", ".config/opencode/opencode.json"),
        ("gemini", ".gemini/settings.json"),
        ("goose", ".config/goose/config.yaml"),
        ("cursor", ".cursor/mcp.json"),
        ("zed", ".config/zed/settings.json"),
        #[cfg(target_os = "linux")]
        ("vscode", ".config/Code/User/mcp.json"),
        #[cfg(target_os = "linux")]
        (
            "claude-desktop",
            ".config/Claude/claude_desktop_config.json",
        ),
    ] {
        let home = home();
        let ran = doorward(&home, &["connect", client, "--yes"]);
        assert_eq!(ran.code, 0, "{client}: {}", ran.err);
        let text = read(&home, file);
        assert!(text.contains("linear") && text.contains("notion"), "{text}");
        let mode = fs::metadata(home.path(file))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{client}");
        let ran = doorward(&home, &["disconnect", client, "--yes"]);
        assert_eq!(ran.code, 0, "{client}: {}", ran.err);
        assert!(!home.path(file).exists(), "{client}");
    }
}

#[test]
fn edits_in_between_stay_to_the_byte() {
    let home = home();
    let before = "model = \"a\"\r\n# mine\r\n";
    let file = home.write(".codex/config.toml", before);
    assert_eq!(doorward(&home, &["connect", "codex", "--yes"]).code, 0);
    let now = read(&home, ".codex/config.toml").replace("\"a\"", "\"b\" # better");
    fs::write(&file, now + "\r\n[tui]\r\ntheme = 'x'").expect("written");
    assert_eq!(doorward(&home, &["disconnect", "codex", "--yes"]).code, 0);
    let expected = "model = \"b\" # better\r\n# mine\r\n\r\n[tui]\r\ntheme = 'x'";
    assert_eq!(read(&home, ".codex/config.toml"), expected);
}

#[test]
fn nothing_is_written_without_consent() {
    let home = home();
    home.write(".claude.json", CLAUDE);
    let ran = doorward(&home, &["connect", "claude"]);
    assert_eq!(ran.code, 6, "nobody can be asked");
    assert!(
        ran.err.ends_with("run: doorward connect claude --yes\n"),
        "{}",
        ran.err
    );
    let ran = doorward(&home, &["connect", "claude", "--dry-run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("+       \"linear\": {") && !ran.out.contains("Wrote"));
    let ran = doorward(&home, &["connect", "cursor", "--print"]);
    let printed: Value = serde_json::from_str(&ran.out).expect("JSON");
    let words = printed["mcpServers"]["notion"]["args"]
        .as_array()
        .expect("words");
    assert_eq!(words[2..], ["bridge", "notion"]);
    assert_eq!(read(&home, ".claude.json"), CLAUDE);
    assert!(!home.path(".cursor").exists());
    assert!(!home.path("state/connections.json").exists());
}

#[test]
fn a_file_that_its_client_could_not_read_is_left_alone_and_its_place_told() {
    let home = home();
    for (client, name, text, place, format) in [
        ("claude", ".claude.json", "{\n  \"a\": 1,\n}", "2:9", "JSON"),
        ("codex", ".codex/config.toml", "a = 1\n[b\n", "2:3", "TOML"),
        (
            "goose",
            ".config/goose/config.yaml",
            "a: 'x\n",
            "1:4",
            "YAML",
        ),
    ] {
        let file = home.write(name, text);
        let ran = doorward(&home, &["connect", client, "--yes"]);
        assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{}", ran.err);
        let told = format!("error: ~/{name}:{place} is not valid {format}\n  why: ");
        assert!(ran.err.starts_with(&told), "{}", ran.err);
        assert!(ran.err.contains("nothing was written"), "{}", ran.err);
        assert_eq!(fs::read_to_string(&file).expect("a file"), text);
    }
    let file = home.path(".cursor/mcp.json");
    fs::create_dir(home.path(".cursor")).expect("made");
    fs::write(&file, b"{\n  \"a\": \"\xff\"\n}").expect("written");
    let ran = doorward(&home, &["connect", "cursor", "--yes"]);
    assert_eq!(ran.code, 7);
    assert!(
        ran.err
            .starts_with("error: ~/.cursor/mcp.json:2:9 is not valid text\n"),
        "{}",
        ran.err
    );
    let file = home.write(".cursor/mcp.json", "{\"mcpServers\": []}");
    let ran = doorward(&home, &["connect", "cursor", "--yes"]);
    assert_eq!(ran.code, 7);
    let told = "error: ~/.cursor/mcp.json cannot be changed safely\n  why: 1:16: this is no object";
    assert!(ran.err.starts_with(told), "{}", ran.err);
    assert_eq!(
        fs::read_to_string(&file).expect("a file"),
        "{\"mcpServers\": []}"
    );
    assert!(!home.path("state/connections.json").exists());
}
