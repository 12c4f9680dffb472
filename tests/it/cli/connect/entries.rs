//! Which entries are written, into which file, and what is in their way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use super::super::run;
use super::{CLAUDE, TWO, doorward, ends, home, json_of, read};

#[test]
fn an_entry_of_that_name_is_kept_or_comes_back() {
    let home = home();
    let theirs = "{\"mcpServers\": {\n  \"linear\":   {\"url\": \"https://mcp.linear.app/sse\"} // old\n}}\n";
    home.write(".cursor/mcp.json", theirs);
    let ran = doorward(&home, &["connect", "cursor", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let warning = "warning: \"linear\" points to https://mcp.linear.app/sse: kept; --replace";
    assert!(ran.err.contains(warning), "{}", ran.err);
    let text = read(&home, ".cursor/mcp.json");
    assert!(
        text.contains("mcp.linear.app/sse") && text.contains("notion"),
        "{text}"
    );
    let ran = doorward(&home, &["connect", "cursor", "--replace", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!read(&home, ".cursor/mcp.json").contains("mcp.linear.app"));
    assert_eq!(doorward(&home, &["disconnect", "cursor", "--yes"]).code, 0);
    assert_eq!(read(&home, ".cursor/mcp.json"), theirs);
}

#[test]
fn entries_follow_the_upstreams() {
    let home = home();
    let names = || {
        let servers = json_of(&home, ".cursor/mcp.json")["mcpServers"].clone();
        let servers = servers.as_object().expect("a map").clone();
        servers.keys().cloned().collect::<Vec<_>>()
    };
    let connect = |more: &[&str]| {
        let ran = doorward(&home, &[&["connect", "cursor", "--yes"], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    connect(&["--upstream", "notion"]);
    assert_eq!(names(), ["notion"]);
    connect(&["--upstream", "linear"]);
    assert_eq!(names(), ["linear", "notion"]);
    home.write("state/config.toml", &TWO.replace("notion", "wiki"));
    connect(&[]);
    assert_eq!(names(), ["linear", "wiki"]);
    connect(&["--prefix", "dw-", "--mode", "env"]);
    assert_eq!(names(), ["dw-linear", "dw-wiki"]);
    let entry = &json_of(&home, ".cursor/mcp.json")["mcpServers"]["dw-wiki"];
    let expected = json!({
        "url": "http://127.0.0.1:5177/u/wiki",
        "headers": {
            "Authorization": "Bearer ${env:DOORWARD_SESSION}", "doorward-errors": "result",
        },
    });
    assert_eq!(*entry, expected);
    assert_eq!(doorward(&home, &["disconnect", "cursor", "--yes"]).code, 0);
    assert!(!home.path(".cursor/mcp.json").exists());
}

#[test]
fn links_are_followed_and_modes_kept_but_not_out_of_the_home_directory() {
    let home = home();
    let real = home.write("dotfiles/zed.json", "{}");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).expect("ours");
    fs::create_dir_all(home.path(".config/zed")).expect("made");
    let link = home.path(".config/zed/settings.json");
    symlink(&real, &link).expect("made");
    assert_eq!(doorward(&home, &["connect", "zed", "--yes"]).code, 0);
    assert!(link.is_symlink() && read(&home, "dotfiles/zed.json").contains("linear"));
    let mode = fs::metadata(&real).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(doorward(&home, &["disconnect", "zed", "--yes"]).code, 0);
    assert_eq!(read(&home, "dotfiles/zed.json"), "{}");

    let elsewhere = tempfile::tempdir().expect("a directory");
    let outside = elsewhere.path().join("mcp.json");
    fs::write(&outside, "{}").expect("written");
    fs::create_dir(home.path(".cursor")).expect("made");
    symlink(&outside, home.path(".cursor/mcp.json")).expect("made");
    let ran = doorward(&home, &["connect", "cursor", "--yes"]);
    assert_eq!(ran.code, 6);
    assert!(
        ran.err.contains("outside of your home directory"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.ends_with("run: doorward connect cursor --follow\n"),
        "{}",
        ran.err
    );
    assert_eq!(fs::read_to_string(&outside).expect("a file"), "{}");
    assert_eq!(
        doorward(&home, &["connect", "cursor", "--follow", "--yes"]).code,
        0
    );
    assert_eq!(
        doorward(&home, &["disconnect", "cursor", "--follow", "--yes"]).code,
        0
    );
    assert_eq!(fs::read_to_string(&outside).expect("a file"), "{}");
}

#[test]
fn what_was_remembered_and_never_written_is_forgotten() {
    let home = home();
    home.write(".claude.json", CLAUDE);
    assert_eq!(doorward(&home, &["connect", "claude", "--yes"]).code, 0);
    // As after a power failure between the two.
    home.write(".claude.json", CLAUDE);
    ends(&home);
}

#[test]
fn all_that_is_installed_is_connected_and_listed() {
    let home = home();
    home.write(".claude.json", "{ not JSON");
    home.write(".codex/config.toml", "a = 1\n");
    fs::create_dir(home.path(".cursor")).expect("made");
    let ran = doorward(&home, &["connect", "all", "--yes", "-o", "json"]);
    assert_eq!(ran.code, 10, "one of three failed: {}", ran.err);
    let (error, documents) = ran.out.split_once("\n[").expect("an error and a list");
    let error: Value = serde_json::from_str(error).expect("JSON");
    assert_eq!(error["error"]["code"], "client_config_unreadable");
    let documents: Value = serde_json::from_str(&format!("[{documents}")).expect("JSON");
    assert_eq!(documents[0]["client"], "codex");
    assert_eq!(documents[1]["client"], "cursor");
    assert_eq!(documents[1]["written"], true);
    assert_eq!(documents[1]["changes"][0]["op"], "add");
    assert_eq!(
        documents[1]["changes"][0]["path"],
        json!(["mcpServers", "linear"])
    );
    let ran = doorward(&home, &["connect", "--list"]);
    let line = |name: &str| {
        let found = ran.out.lines().find(|line| line.starts_with(name));
        found
            .expect("a line")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("codex"),
        "codex yes linear, notion bridge ~/.codex/config.toml"
    );
    assert_eq!(line("claude "), "claude yes — — ~/.claude.json");
    assert_eq!(line("zed"), "zed no — — ~/.config/zed/settings.json");
    assert_eq!(doorward(&home, &["disconnect", "all", "--yes"]).code, 0);
    assert_eq!(read(&home, ".codex/config.toml"), "a = 1\n");
    assert!(!home.path(".cursor/mcp.json").exists());
}

#[test]
fn a_projects_file_is_its_own() {
    let home = home();
    let project = home.path("web");
    fs::create_dir(&project).expect("made");
    let here = |arguments: &[&str]| run(home.doorward().current_dir(&project).args(arguments));
    let ran = here(&["connect", "claude", "--scope", "project", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(project.join(".mcp.json").exists() && !home.path(".claude.json").exists());
    let ran = here(&["connect", "goose", "--scope", "project"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("goose has no file of a project"),
        "{}",
        ran.err
    );
    let ran = here(&["connect", "codex", "--scope", "project", "--mode", "static"]);
    assert_eq!(ran.code, 2, "no credential goes into a repository");
    assert_eq!(doorward(&home, &["disconnect", "claude", "--yes"]).code, 0);
    assert!(!project.join(".mcp.json").exists());
}

#[test]
fn wrong_words_are_told_with_the_right_ones() {
    let home = home();
    for (arguments, code, told) in [
        (
            &["connect", "claud"][..],
            5,
            "run: doorward connect claude\n",
        ),
        (
            &["disconnect", "emacs"],
            5,
            "known: claude, codex, opencode",
        ),
        (
            &["connect", "cursor", "--mode", "static"],
            2,
            "Cursor has no mode static; it has: bridge, env",
        ),
        (
            &["connect", "cursor", "--upstream", "linaer"],
            5,
            "did you mean linear?",
        ),
        (
            &["connect", "cursor", "--upstream", "off"],
            6,
            "off is switched off",
        ),
        (
            &["connect", "cursor", "--prefix", "a.b"],
            2,
            "begin with a letter",
        ),
        (&["connect"], 2, "<CLIENT>"),
    ] {
        let ran = doorward(&home, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{arguments:?}: {}", ran.err);
    }
    home.write("state/config.toml", "");
    let ran = doorward(&home, &["connect", "claude"]);
    assert_eq!(ran.code, 5);
    assert!(
        ran.err.contains("there is no upstream to connect"),
        "{}",
        ran.err
    );
}
