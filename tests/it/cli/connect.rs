//! `connect` and `disconnect` without a daemon: what is written, what is refused, what comes back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

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

    let ran = doorward(&home, &["disconnect", "claude", "--yes"]);
    assert_eq!(
        (ran.code, read(&home, ".claude.json")),
        (0, CLAUDE.to_owned()),
        "{}",
        ran.err
    );
    let ran = doorward(&home, &["disconnect", "claude"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(
        ran.err,
        "claude is not connected by doorward here: nothing to undo\n"
    );
    assert_eq!(read(&home, ".claude.json"), CLAUDE);
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

/// The command on a terminal, with `at_the_question` done before the answer is given.
#[cfg(target_os = "linux")]
fn asked(
    home: &Home,
    arguments: &str,
    at_the_question: impl FnOnce(),
    answer: &str,
) -> (i32, String) {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_doorward"));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("TERM", "dumb"),
            ("SHELL", "/bin/sh"),
        ])
        .env("HOME", home.dir.path())
        .env("DOORWARD_STATE_DIR", home.path("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut output = child.stdout.take().expect("piped");
    let mut seen = Vec::new();
    while !seen.ends_with(b"[y/N] ") {
        let mut byte = [0];
        output.read_exact(&mut byte).expect("a question");
        seen.push(byte[0]);
    }
    at_the_question();
    let mut input = child.stdin.take().expect("piped");
    input.write_all(answer.as_bytes()).expect("it reads");
    output.read_to_end(&mut seen).expect("the rest");
    let code = child.wait().expect("it ends").code().expect("a code");
    (code, String::from_utf8_lossy(&seen).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_changed_between_the_question_and_the_answer_is_left_alone() {
    let home = home();
    let file = home.write(".claude.json", CLAUDE);
    let theirs = CLAUDE.replace('3', "4");
    let (code, told) = asked(
        &home,
        "connect claude",
        || fs::write(&file, &theirs).expect("written"),
        "y\n",
    );
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("~/.claude.json changed while you were looking at the preview"),
        "{told}"
    );
    assert_eq!(read(&home, ".claude.json"), theirs);
    let ran = doorward(&home, &["disconnect", "claude"]);
    assert!(
        ran.err.contains("is not connected"),
        "nothing is remembered: {}",
        ran.err
    );

    let (code, told) = asked(&home, "connect claude", || (), "n\n");
    assert_eq!(
        (code, read(&home, ".claude.json")),
        (6, theirs.clone()),
        "{told}"
    );
    let (code, told) = asked(&home, "connect claude", || (), "y\n");
    assert_eq!(code, 0, "{told}");
    let written = read(&home, ".claude.json");
    assert!(written.contains("linear"));
    let edited = written.replace('4', "5");
    let (code, told) = asked(
        &home,
        "disconnect claude",
        || fs::write(&file, &edited).expect("written"),
        "y\n",
    );
    assert_eq!((code, read(&home, ".claude.json")), (1, edited), "{told}");
    // It is still remembered.
    assert_eq!(doorward(&home, &["disconnect", "claude", "--yes"]).code, 0);
    assert_eq!(read(&home, ".claude.json"), CLAUDE.replace('3', "5"));
}

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
        "headers": {"Authorization": "Bearer ${env:DOORWARD_SESSION}"},
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
    let ran = doorward(&home, &["disconnect", "claude", "--yes"]);
    assert_eq!(
        (ran.code, read(&home, ".claude.json")),
        (0, CLAUDE.to_owned()),
        "{}",
        ran.err
    );
    let ran = doorward(&home, &["disconnect", "claude"]);
    assert!(ran.err.contains("is not connected"), "{}", ran.err);
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
