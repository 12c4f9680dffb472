//! What a daemon is asked, and what is made of its answers.

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use super::stub::{account, session, status, stub};
use super::{Home, run};

#[test]
fn status_is_a_table_on_stdout_and_its_exit_code_says_what_is_needed() {
    for (state, code) in [("ready", 0), ("login", 4), ("error", 8), ("disabled", 0)] {
        let home = Home::new();
        let socket = home.path("s");
        let _requests = stub(&socket, vec![(200, status(vec![account("linear", state)]))]);
        let ran = run(home.doorward().arg("status").arg("--socket").arg(&socket));
        assert_eq!(ran.code, code, "{}", ran.err);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(
            lines[0],
            "doorward 0.1.0 · running · http://127.0.0.1:5177 · 1 session · file ok"
        );
        assert!(
            lines[2].starts_with("UPSTREAM  ACCOUNT          STATE"),
            "{}",
            ran.out
        );
        assert!(
            lines[3].starts_with("linear    ana@example.com  "),
            "{}",
            ran.out
        );
        assert!(!ran.out.contains('\x1b'), "no colour in a pipe");
    }
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    for (arguments, variables, colour) in [
        (&["--color", "always"][..], &[][..], true),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
    ] {
        let home = Home::new();
        let socket = home.path("s");
        let _requests = stub(
            &socket,
            vec![(200, status(vec![account("linear", "ready")]))],
        );
        let mut command = home.doorward();
        command
            .arg("status")
            .arg("--socket")
            .arg(&socket)
            .args(arguments);
        let ran = run(command.envs(variables.iter().copied()));
        assert_eq!(
            ran.out.contains("\x1b[32mready\x1b[0m"),
            colour,
            "{arguments:?} {variables:?}"
        );
    }
}

#[test]
fn a_credential_is_on_stdout_and_nothing_else_is() {
    let minted = json!({
        "schema": "doorward/session-minted/v1", "session": session("s_9x3mfa"),
        "credential": "dw_9x3mfa_x", "url": "http://127.0.0.1:5177"
    });
    for (form, shown) in [
        ("text", "dw_9x3mfa_x\n"),
        ("headers", "{\"Authorization\":\"Bearer dw_9x3mfa_x\"}\n"),
        (
            "env",
            "export DOORWARD_URL=http://127.0.0.1:5177\nexport DOORWARD_SESSION=dw_9x3mfa_x\n",
        ),
    ] {
        let home = Home::new();
        let socket = home.path("s");
        let requests = stub(&socket, vec![(200, minted.clone())]);
        let mint = [
            "session",
            "mint",
            "--upstream",
            "linear,notion@work",
            "--ttl",
            "8h",
            "-o",
            form,
        ];
        let ran = run(home.doorward().args(mint).arg("--socket").arg(&socket));
        assert_eq!((ran.code, ran.out.as_str()), (0, shown), "{}", ran.err);
        assert!(
            ran.err.contains("session s_9x3mfa · linear · ends "),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("dw_"), "{}", ran.err);
        let request = requests.recv().expect("asked");
        assert_eq!(request.line, "POST /api/v1/sessions HTTP/1.1");
        assert_eq!(request.body["upstreams"], json!(["linear", "notion@work"]));
        assert_eq!(request.body["ttl_s"], 28800);
    }
}

#[test]
fn what_a_new_session_ends_by_is_said_as_it_is() {
    let told = |more: Value| {
        let home = Home::new();
        let socket = home.path("s");
        let mut minted = session("s_7q2kd4");
        minted["expires_at"] = json!("2026-12-21T08:00:00Z");
        let fields = more.as_object().expect("fields").clone();
        minted.as_object_mut().expect("fields").extend(fields);
        let minted = json!({"schema": "doorward/session-minted/v1", "session": minted,
                            "credential": "dw_x", "url": "http://127.0.0.1:5177"});
        let _requests = stub(&socket, vec![(200, minted)]);
        let mint = ["session", "mint", "--socket"];
        run(home.doorward().args(mint).arg(&socket)).err
    };
    for (more, words) in [
        (json!({}), " · ends 30d after its last use · "),
        (
            json!({"idle_expires_at": "2026-11-22T08:00:00Z"}),
            " · ends 1d after its last use · ",
        ),
        (
            json!({"idle_expires_at": "2026-11-22T08:00:00Z",
                   "max_expires_at": "2026-11-21T16:00:00Z"}),
            " · ends in 8h · ",
        ),
        (
            json!({"bound": {"pid": 7, "exe": "claude", "alive": true}}),
            " · ends with its process, or 30d after its last use · ",
        ),
    ] {
        let told = told(more);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn exactly_the_sessions_that_were_shown_are_revoked() {
    let home = Home::new();
    let socket = home.path("s");
    let sessions = json!({
        "schema": "doorward/sessions/v1", "generated_at": "2026-11-21T09:00:00Z",
        "items": [session("s_7q2kd4"), session("s_9x3mfa")], "next_cursor": null
    });
    let revoked = json!({
        "schema": "doorward/revoked/v1", "revoked": ["s_7q2kd4", "s_9x3mfa"], "failed": []
    });
    let requests = stub(
        &socket,
        vec![(200, sessions.clone()), (200, revoked), (200, sessions)],
    );
    let revoke = [
        "ctl",
        "revoke",
        "--upstream",
        "linear",
        "--reason",
        "laptop handed over",
    ];
    let ran = run(home
        .doorward()
        .args(revoke)
        .arg("--yes")
        .arg("--socket")
        .arg(&socket));
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "✓ revoked 2\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("s_7q2kd4  claude  nightly"), "{}", ran.err);
    assert_eq!(
        requests.recv().expect("asked").line,
        "GET /api/v1/sessions HTTP/1.1"
    );
    let request = requests.recv().expect("asked");
    assert_eq!(request.line, "POST /api/v1/sessions:revoke HTTP/1.1");
    assert_eq!(
        request.body["filter"]["ids"],
        json!(["s_7q2kd4", "s_9x3mfa"])
    );
    assert_eq!(request.body["reason"], "laptop handed over");
    let ran = run(home.doorward().args(revoke).arg("--socket").arg(&socket));
    assert_eq!(
        ran.code, 6,
        "without consent nothing is revoked: {}",
        ran.err
    );
}

#[test]
fn sessions_are_listed_in_every_form() {
    let list = json!({
        "schema": "doorward/sessions/v1", "generated_at": "2026-11-21T09:00:00Z",
        "items": [session("s_7q2kd4"), session("s_9x3mfa")], "next_cursor": null
    });
    let ask = |form: &str| {
        let home = Home::new();
        let socket = home.path("s");
        let _requests = stub(&socket, vec![(200, list.clone())]);
        run(home
            .doorward()
            .args(["ctl", "sessions", "-o", form])
            .arg("--socket")
            .arg(&socket))
        .out
    };
    assert_eq!(ask("name"), "s_7q2kd4\ns_9x3mfa\n");
    assert_eq!(ask("jsonl").lines().count(), 2);
    let document: Value = serde_json::from_str(&ask("json")).expect("one document");
    assert_eq!(document["items"][1]["id"], "s_9x3mfa");
    let table = ask("table");
    let head = "SESSION   CLIENT  LABEL    GRANT   STATE  CALLS  LAST USED  EXPIRES";
    assert!(table.starts_with(head), "{table}");
    assert!(
        table.contains("s_7q2kd4  claude  nightly  linear  idle      41  never      in "),
        "{table}"
    );
}

#[test]
fn what_the_daemon_refuses_is_told_in_three_lines_with_its_exit_code() {
    let refusal = json!({"error": {
        "code": "login_required", "message": "linear needs you to sign in",
        "why": "nobody has signed in yet", "fix": "doorward login linear", "request_id": "r_01"
    }});
    let home = Home::new();
    let socket = home.path("s");
    let _requests = stub(&socket, vec![(409, refusal.clone()), (409, refusal)]);
    let refresh = ["ctl", "refresh", "linear"];
    let ran = run(home.doorward().args(refresh).arg("--socket").arg(&socket));
    assert_eq!((ran.code, ran.out.as_str()), (4, ""));
    assert_eq!(
        ran.err,
        format!(
            "error: linear needs you to sign in\n  why: nobody has signed in yet\n  \
             run: doorward --socket {} login linear\n",
            socket.display()
        )
    );
    let ran = run(home
        .doorward()
        .args(refresh)
        .arg("-v")
        .arg("--socket")
        .arg(&socket));
    assert!(
        ran.err.ends_with("  code: login_required · request r_01\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_sign_in_opens_the_browser_and_waits_for_its_end() {
    let home = Home::new();
    let socket = home.path("s");
    // A pipe that both ends wait for: the browser is another process, and outlives the command.
    let opened = home.path("opened");
    let made = std::process::Command::new("mkfifo").arg(&opened).status();
    assert!(made.expect("runs").success());
    let browser = home.write(
        "browser",
        &format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display()),
    );
    let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&browser, runnable).expect("executable");
    let list = json!({"schema": "doorward/upstreams/v1", "items": []});
    let detail =
        json!({"schema": "doorward/upstream/v1", "items": [], "settings": [], "redirect_uri": "x"});
    let up = || (200, status(Vec::new()));
    let progress = |state: &str, account: Value| {
        let body = json!({"schema": "doorward/login/v1", "state": state, "account": account,
                          "problem": null, "warnings": []});
        (200, body)
    };
    let page = "http://127.0.0.1:5177/login/linear?t=K7QF-2M9D";
    let requests = stub(
        &socket,
        vec![
            up(),
            (200, list),
            up(),
            (200, detail),
            up(),
            (
                200,
                json!({"schema": "doorward/login-started/v1", "url": page,
                         "expires_at": "2096-11-21T08:00:00Z", "already_signed_in": null}),
            ),
            progress("pending", Value::Null),
            progress("succeeded", account("linear", "ready")),
            up(),
        ],
    );
    let mut command = home.doorward();
    command
        .args(["login", "https://mcp.linear.app/mcp", "--socket"])
        .arg(&socket);
    let ran = run(command.env(
        "BROWSER",
        format!("/nonexistent/x:{} %s", browser.display()),
    ));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err
            .contains("Added upstream linear  (https://mcp.linear.app/mcp)"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains(page), "{}", ran.err);
    assert!(
        ran.out.contains("✓ Signed in to linear as ana@example.com"),
        "{}",
        ran.out
    );
    let lines: Vec<String> = requests.iter().map(|request| request.line).collect();
    assert_eq!(lines[3], "POST /api/v1/upstreams HTTP/1.1");
    assert_eq!(lines[5], "POST /api/v1/upstreams/linear/login HTTP/1.1");
    assert_eq!(
        lines[6],
        "GET /api/v1/upstreams/linear/login?wait_ms=25000 HTTP/1.1"
    );
    assert_eq!(lines[8], "GET /api/v1/status HTTP/1.1");
    assert!(
        ran.out.contains("the key of the store is a file"),
        "what protects the sign-in is announced: {}",
        ran.out
    );
    assert_eq!(lines.len(), 9);
    assert_eq!(std::fs::read_to_string(opened).expect("read"), page);
}

#[test]
fn a_sign_in_that_fails_says_why_and_has_its_exit_code() {
    for (code, exit) in [
        ("login_denied", 6),
        ("login_timeout", 9),
        ("discovery_failed", 8),
    ] {
        let home = Home::new();
        let socket = home.path("s");
        let page = json!({"schema": "doorward/login-started/v1", "url": "http://127.0.0.1:1/x",
                          "expires_at": null, "already_signed_in": null});
        let failed = json!({"schema": "doorward/login/v1", "state": "failed", "account": null,
                            "problem": {"code": code, "what": "w", "why": "because", "fix": null}});
        let up = || (200, status(vec![account("linear", "login")]));
        let _requests = stub(&socket, vec![up(), up(), (200, page), (200, failed)]);
        let login = ["login", "linear", "--no-browser", "--socket"];
        let ran = run(home.doorward().args(login).arg(&socket));
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{}", ran.err);
        assert!(ran.err.contains("http://127.0.0.1:1/x"), "{}", ran.err);
        assert!(ran.err.contains("why: because"), "{}", ran.err);
    }
}

#[test]
fn a_daemon_that_does_not_answer_in_time_has_exit_code_9() {
    let home = Home::new();
    let socket = home.path("s");
    let _listener = UnixListener::bind(&socket).expect("binds");
    let command = ["ctl", "sessions", "--timeout", "50ms", "--socket"];
    let ran = run(home.doorward().args(command).arg(&socket));
    assert_eq!(ran.code, 9, "{}", ran.err);
    assert!(ran.err.contains("why: 50ms passed"), "{}", ran.err);
}
