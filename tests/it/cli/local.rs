//! What needs no daemon.

use doorward::model::catalogue::Code;
use serde_json::Value;

use super::{Home, run};

#[test]
fn the_version_is_told_without_a_daemon() {
    let home = Home::new();
    let ran = run(home.doorward().arg("version"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, format!("doorward {}\n", env!("CARGO_PKG_VERSION")));
    let ran = run(home.doorward().args(["version", "-o", "json"]));
    let document: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(document["schema"], "doorward/version/v1");
    assert!(document["daemon"].is_null());
}

#[test]
fn every_code_is_explained() {
    let home = Home::new();
    for code in Code::ALL {
        let ran = run(home.doorward().args(["explain", code.as_str()]));
        if code.is_reserved() {
            assert_eq!(ran.code, 5, "{code} cannot happen");
            continue;
        }
        assert_eq!(ran.code, 0, "{code}");
        assert!(ran.out.starts_with(&format!("{code}: ")), "{}", ran.out);
        assert!(
            ran.out
                .lines()
                .all(|line| line.chars().count() <= 100 || line.contains(':'))
        );
    }
    let ran = run(home.doorward().args(["explain", "login_reqired"]));
    assert_eq!((ran.code, ran.out.as_str()), (5, ""));
    assert!(
        ran.err.contains("run: doorward explain login_required"),
        "{}",
        ran.err
    );
}

#[test]
fn a_mistake_in_the_config_is_shown_with_a_caret_and_exit_code_7() {
    let home = Home::new();
    let file = home.write(
        "config.toml",
        "[upstreams.linear]\nurl = \"https://mcp.linear.app/mcp\"\n[upstreams.linear.auth]\n\
         kind = \"oauth\"\nscope = \"read\"\n",
    );
    let ran = run(home.doorward().args(["config", "check"]).arg(&file));
    assert_eq!((ran.code, ran.out.as_str()), (7, ""));
    assert_eq!(
        ran.err,
        format!(
            "error: unknown key `scope` in [upstreams.linear.auth]\n  \
               --> config.toml:5:1\n  \
             |\n\
             5 | scope = \"read\"\n  \
             | ^^^^^ did you mean `scopes` (an array)?\n  \
             run: edit {}\n",
            file.display()
        )
    );
    let ran = run(home
        .doorward()
        .args(["--json", "config", "check"])
        .arg(&file));
    let document: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!((ran.code, ran.err.as_str()), (7, ""));
    assert_eq!(document["error"]["code"], "config_invalid");
    assert_eq!(document["mistakes"][0]["line"], 5);
}

#[test]
fn a_config_that_was_written_by_init_is_right() {
    let home = Home::new();
    let file = home.path("deep/config.toml");
    let init = || run(home.doorward().args(["config", "init", "-c"]).arg(&file));
    assert_eq!(init().code, 0);
    let ran = run(home.doorward().args(["config", "check", "-c"]).arg(&file));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(init().code, 6, "it is not overwritten");
    let ran = run(home
        .doorward()
        .args(["config", "show", "--sources", "-c"])
        .arg(&file)
        .env("PORT", "6000"));
    assert!(ran.out.contains("server.port"), "{}", ran.out);
    assert!(ran.out.contains("env PORT"), "{}", ran.out);
    let ran = run(home.doorward().args(["config", "path"]));
    assert!(ran.out.ends_with("state/config.toml\n"), "{}", ran.out);
}

#[test]
fn what_config_show_prints_is_a_config() {
    let home = Home::new();
    let file = home.write("a.toml", "[upstreams.a]\nurl = \"https://a.example\"\n");
    let ran = run(home.doorward().args(["config", "show", "-c"]).arg(&file));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown = home.write("b.toml", &ran.out);
    let ran = run(home.doorward().args(["config", "check"]).arg(shown));
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn without_a_daemon_the_exit_code_is_3_and_the_next_command_is_named() {
    let home = Home::new();
    for arguments in [
        &["ctl", "sessions"][..],
        &["ctl", "show", "s_7q2kd4"],
        &["ctl", "revoke", "s_7q2kd4"],
        &["ctl", "reload"],
        &["ctl", "refresh", "linear"],
        &["session", "mint"],
        &["upstream", "test", "linear"],
        &["logout", "linear"],
    ] {
        let ran = run(home.doorward().args(arguments));
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (3, ""),
            "{arguments:?}: {}",
            ran.err
        );
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines[0], "error: doorward is not running");
        assert!(
            lines[1].starts_with("  why: no daemon answered on "),
            "{}",
            ran.err
        );
        assert_eq!(lines[2], "  run: doorward up");
        assert_eq!(lines.len(), 3);
    }
    let ran = run(home.doorward().args(["ctl", "sessions", "-o", "json"]));
    let document: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    assert_eq!(document["error"]["code"], "not_running");
    let ran = run(home.doorward().arg("down"));
    assert_eq!(ran.code, 0, "it is as it was asked to be");
}

#[test]
fn without_a_daemon_status_lists_what_is_configured() {
    let home = Home::new();
    home.write(
        "state/config.toml",
        "[upstreams.linear]\nurl = \"https://mcp.linear.app/mcp\"\n",
    );
    let ran = run(home.doorward().arg("status"));
    assert_eq!(ran.code, 3);
    assert!(
        ran.out.starts_with("doorward is not running\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("linear") && ran.out.contains("run: doorward up"),
        "{}",
        ran.out
    );
    let ran = run(home.doorward().args(["status", "linaer"]));
    assert_eq!(ran.code, 5);
    assert!(ran.err.contains("did you mean linear?"), "{}", ran.err);
}

#[test]
fn doorward_alone_says_how_to_begin() {
    let home = Home::new();
    let ran = run(&mut home.doorward());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("doorward login https://"), "{}", ran.out);
}

#[test]
fn what_cannot_be_parsed_has_exit_code_2() {
    let home = Home::new();
    let ran = run(home.doorward().arg("sttaus"));
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("status"), "{}", ran.err);
    assert_eq!(
        run(home.doorward().args(["status", "--frobnicate"])).code,
        2
    );
    assert_eq!(run(home.doorward().arg("--help")).code, 0);
}

#[test]
fn upstreams_are_added_and_removed_without_a_daemon() {
    let home = Home::new();
    let file = home.write(
        "state/config.toml",
        "# mine\n[server]\nport = 6000 # here\n",
    );
    let add = [
        "upstream",
        "add",
        "docs",
        "https://docs.example/mcp/",
        "--auth",
        "none",
    ];
    let ran = run(home.doorward().args(add).args(["--header", "X-Team: web"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(
        text.starts_with("# mine\n[server]\nport = 6000 # here\n"),
        "{text}"
    );
    assert!(
        text.contains("url = \"https://docs.example/mcp/\""),
        "{text}"
    );
    let again = run(home.doorward().args(add));
    assert_eq!(again.code, 0, "seed_s1_03: it is there: {}", again.err);
    assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
    let mut other = add;
    other[3] = "https://docs.example/other";
    assert_eq!(
        run(home.doorward().args(other)).code,
        6,
        "the name is taken"
    );
    let ran = run(home.doorward().args(["upstream", "list", "-o", "name"]));
    assert_eq!(ran.out, "docs\n");
    let ran = run(home.doorward().args(["upstream", "remove", "docs"]));
    assert_eq!(ran.code, 6, "nobody can be asked: {}", ran.err);
    let ran = run(home
        .doorward()
        .args(["upstream", "remove", "docs", "--yes"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let left = std::fs::read_to_string(&file).expect("read");
    assert_eq!(left, "# mine\n[server]\nport = 6000 # here\n");
    for (arguments, step) in [
        (&["nonsense"][..], "https://mcp.example.com/mcp"),
        (&["http://example.com/mcp"], "--allow-http"),
        (
            &["https://x.example", "--auth", "client-credentials"],
            "--client-id ID",
        ),
    ] {
        let ran = run(home
            .doorward()
            .args(["upstream", "add", "bad"])
            .args(arguments));
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(step), "{}", ran.err);
        assert!(!ran.err.contains("config.toml:"), "{}", ran.err);
    }
}

#[test]
fn what_is_done_to_upstreams_is_a_document_for_programs() {
    let home = Home::new();
    let ask = |arguments: &[&str]| {
        let ran = run(home.doorward().args(arguments).args(["-o", "json", "-y"]));
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
        serde_json::from_str::<Value>(&ran.out)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", ran.out))
    };
    let add = ["upstream", "add", "docs", "https://docs.example/mcp"];
    for _ in 0..2 {
        let added = ask(&add);
        assert_eq!(added["schema"], "doorward/upstream/v1");
        assert_eq!(added["items"][0]["url"], "https://docs.example/mcp");
        assert_eq!(added["items"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(
        ask(&["upstream", "disable", "docs"])["items"][0]["state"],
        "disabled"
    );
    assert_ne!(
        ask(&["upstream", "enable", "docs"])["items"][0]["state"],
        "disabled"
    );
    assert_eq!(ask(&["upstream", "remove", "docs"])["removed"], "docs");
    let file = &ask(&["config", "path"])["file"];
    assert_eq!(
        file.as_str().map(Into::into),
        Some(home.path("state/config.toml"))
    );
    assert_eq!(
        ask(&["config", "init", "-c", "/dev/null", "--force"])["file"],
        "/dev/null"
    );
    run(home.doorward().args(add));
    let again = run(home.doorward().args(add));
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "docs is there with this address; nothing was changed\n"),
        "{}",
        again.err
    );
}

#[test]
fn a_next_command_means_the_daemon_that_was_meant() {
    let home = Home::new();
    let state = home.path("other state");
    let config = home.write("own.toml", "");
    let ran = run(home
        .doorward()
        .args(["ctl", "sessions", "--state-dir"])
        .arg(&state)
        .arg("-c")
        .arg(&config));
    let flags = format!(
        "--config {} --state-dir '{}'",
        config.display(),
        state.display()
    );
    assert!(
        ran.err.ends_with(&format!("  run: doorward {flags} up\n")),
        "{}",
        ran.err
    );
    let ran = run(home
        .doorward()
        .args(["-o", "json", "upstream", "remove", "x", "--state-dir"])
        .arg(&state));
    let fix = format!(
        "doorward --state-dir '{}' upstream add x URL",
        state.display()
    );
    assert!(ran.out.contains(&fix), "{}", ran.out);
    let ran = run(home.doorward().arg("--state-dir").arg(&state));
    let first = format!("doorward --state-dir '{}' login https://", state.display());
    assert!(ran.out.contains(&first), "{}", ran.out);
}

#[test]
fn a_login_to_a_name_that_is_not_there_starts_nothing() {
    let home = Home::new();
    let ran = run(home.doorward().args(["login", "linear"]));
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(
        ran.err.contains("there is no upstream called linear"),
        "{}",
        ran.err
    );
    assert!(!home.path("state").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    let program = assert_cmd::cargo::cargo_bin("doorward");
    let mut child = std::process::Command::new(program)
        .arg("explain")
        .env("HOME", home.dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_command_that_reads_the_config_shows_all_its_mistakes() {
    let home = Home::new();
    let file = home.write(
        "bad.toml",
        "[server]\nprot = 1\n[upstreams.Linear]\nurl = \"http://example.com/mcp\"\nfoo = 1\n",
    );
    for command in ["serve", "up", "status"] {
        let ran = run(home.doorward().arg("-c").arg(&file).arg(command));
        assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{command}");
        for mistake in ["2:1", "3:12", "4:7", "5:1"] {
            let place = format!("--> bad.toml:{mistake}\n");
            assert!(ran.err.contains(&place), "{command} {place}: {}", ran.err);
        }
        let json = ["-o", "json", command];
        let ran = run(home.doorward().arg("-c").arg(&file).args(json));
        let document: Value = serde_json::from_str(&ran.out).expect("one document");
        assert_eq!(document["mistakes"].as_array().map(Vec::len), Some(4));
    }
    let ran = run(home.doorward().arg("serve").env("PORT", "x"));
    assert_eq!(ran.code, 7, "{}", ran.err);
    assert!(ran.err.contains("environment variable PORT"), "{}", ran.err);
}

#[test]
fn a_config_that_is_not_there_is_named_whole_and_how_to_make_it() {
    let home = Home::new();
    let file = home.path("none.toml");
    for command in [&["config", "check"][..], &["status"], &["serve"]] {
        let ran = run(home.doorward().arg("-c").arg(&file).args(command));
        assert_eq!(ran.code, 7, "{}", ran.err);
        let place = format!("  --> {}\n", file.display());
        assert!(ran.err.contains(&place), "{}", ran.err);
        assert!(ran.err.ends_with("config init\n"), "{}", ran.err);
    }
}
