//! The stdio bridge on real parts: what an agent sees on the pipe, whatever happens behind it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::away::signed_out;
use crate::support::parts::{Daemon, Part, signed_in};
use crate::support::pipe::Pipe;
use crate::support::raw::{self, Upstream, Wire};

fn live(daemon: &Daemon) -> Vec<Value> {
    let (_, sessions) = daemon.run(&["ctl", "sessions"]);
    sessions["items"].as_array().expect("items").clone()
}

#[test]
fn an_agent_on_a_pipe_is_a_session_of_its_own_until_its_input_ends() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let mut pipe = Pipe::open(&daemon, "ev");
    let hello = pipe.shake_hands();
    assert!(hello["result"]["serverInfo"]["name"].is_string(), "{hello}");
    assert_eq!(pipe.echo("a"), "Echo: a");
    // Whatever is not JSON-RPC is answered as such, and nothing else comes of it.
    pipe.write("this is no JSON");
    assert_eq!(pipe.read().expect("an answer")["error"]["code"], -32700);
    let unknown = pipe.ask("no/such/method", &json!({}));
    assert!(unknown["error"]["code"].is_i64(), "{unknown}");
    let sessions = live(&daemon);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["label"], "pipe");
    assert_eq!(sessions[0]["origin"], "bridge");
    assert_eq!(sessions[0]["bound"]["pid"], pipe.child.id());

    assert_eq!(pipe.close(), (Some(0), String::new()));
    assert!(live(&daemon).is_empty(), "it is revoked");
    let log = upstream.ask("/log");
    let deleted = |entry: &Value| entry["method"] == "DELETE";
    assert!(log.as_array().into_iter().flatten().any(deleted), "{log}");
}

#[test]
fn an_agent_on_a_pipe_outlives_the_daemon_and_the_servers_memory() {
    let (_authority, upstream, mut daemon) = signed_in(&json!({}));
    let mut pipe = Pipe::open(&daemon, "ev");
    pipe.shake_hands();
    assert_eq!(pipe.echo("before"), "Echo: before");
    daemon.kill();
    daemon.serve();
    assert_eq!(pipe.echo("restarted"), "Echo: restarted");
    upstream.tell("/end-sessions", &json!({}));
    assert_eq!(pipe.echo("forgotten"), "Echo: forgotten");
    // While nobody listens a call waits for the daemon that comes back.
    daemon.kill();
    let call = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "away"}}});
    pipe.write(&call.to_string());
    daemon.serve();
    let answer = std::iter::from_fn(|| pipe.read()).find(|message| message["id"] == 99);
    let text = answer.expect("an answer")["result"]["content"][0]["text"].clone();
    assert_eq!(text, "Echo: away");
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn a_bridge_whose_session_lapses_unused_goes_on_in_another_one() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let config = daemon.state().join("config.toml");
    let written = std::fs::read_to_string(&config).expect("a file");
    let short = format!("{written}\n[sessions]\nttl = \"2s\"\nidle = \"2s\"\n");
    std::fs::write(&config, short).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    let mut pipe = Pipe::open(&daemon, "ev");
    pipe.shake_hands();
    assert_eq!(pipe.echo("before"), "Echo: before");
    // However slow the machine is: whichever session it has by now is unused from here on.
    let looks = (0..2000).map(|_| live(&daemon));
    looks
        .take_while(|sessions| !sessions.is_empty())
        .for_each(drop);
    assert!(
        live(&daemon).is_empty(),
        "it lapses although its process lives"
    );
    assert_eq!(pipe.echo("after"), "Echo: after");
    let (_, all) = daemon.run(&["ctl", "sessions", "--all"]);
    let all = all["items"].as_array().expect("items").clone();
    assert!(all.len() > 1, "{all:?}");
    assert!(
        all.iter().all(|session| session["state"] != "revoked"),
        "{all:?}"
    );
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn a_bridge_that_is_revoked_stays_revoked_and_says_so() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let mut pipe = Pipe::open(&daemon, "ev");
    pipe.shake_hands();
    let (code, _) = daemon.run(&["ctl", "revoke", "--label", "pipe"]);
    assert_eq!(code, 0);
    let refused = pipe.ask("tools/list", &json!({}));
    assert_eq!(
        refused["error"]["data"]["code"], "session_revoked",
        "{refused}"
    );
    let again = pipe.ask("tools/list", &json!({}));
    assert_eq!(again["error"]["data"]["code"], "session_revoked");
    assert!(live(&daemon).is_empty());
    assert_eq!(pipe.close().0, Some(0));
}

fn tools(pipe: &mut Pipe) -> Vec<String> {
    let listed = pipe.ask("tools/list", &json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
    tools.iter().map(name).collect()
}

/// Reads until the real lists are announced.
fn wait_for_the_real_lists(pipe: &mut Pipe) {
    let told = |message: &Value| message["method"] == "notifications/resources/list_changed";
    let announced = std::iter::from_fn(|| pipe.read()).find(told);
    announced.expect("announced");
}

#[test]
fn pain_12_an_agent_that_starts_before_the_sign_in_has_its_tools_right_after_it() {
    let (authority, _upstream, daemon) = signed_out();
    let mut agents: Vec<_> = (0..3).map(|_| Pipe::open(&daemon, "ev")).collect();
    for pipe in &mut agents {
        let hello = pipe.shake_hands();
        assert_eq!(hello["result"]["serverInfo"]["name"], "doorward", "{hello}");
        assert_eq!(hello["result"]["protocolVersion"], "2025-06-18");
        assert_eq!(tools(pipe), ["sign_in"]);
        let call = pipe.ask("tools/call", &json!({"name": "sign_in", "arguments": {}}));
        assert_eq!(call["result"]["isError"], true);
        let text = call["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.contains(&daemon.typed("login ev")), "{text}");
    }
    daemon.sign_in(&authority, "ev");
    for mut pipe in agents {
        wait_for_the_real_lists(&mut pipe);
        // A call that was under way to the stand-in is told where to go.
        let late = pipe.ask("tools/call", &json!({"name": "sign_in", "arguments": {}}));
        assert_eq!(late["result"]["isError"], Value::Null, "{late}");
        assert!(tools(&mut pipe).contains(&"echo".to_owned()));
        assert_eq!(pipe.echo("at last"), "Echo: at last");
        assert_eq!(pipe.close().0, Some(0));
    }
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn pain_12_an_agent_that_starts_while_the_server_is_away_has_its_tools_when_it_is_back() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let reset = json!({"kind": "reset_before", "on": "POST", "times": "always"});
    upstream.tell("/fault", &reset);
    let mut pipe = Pipe::open(&daemon, "ev");
    pipe.shake_hands();
    assert_eq!(tools(&mut pipe), ["sign_in"]);
    upstream.tell("/clear", &json!({}));
    wait_for_the_real_lists(&mut pipe);
    assert_eq!(pipe.echo("back"), "Echo: back");
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn what_is_wrong_from_the_start_is_an_exit_code_and_nothing_on_the_pipe() {
    let daemon = Daemon::start();
    let mut pipe = Pipe::open(&daemon, "nobody");
    assert!(pipe.read().is_none());
    let (code, said) = pipe.close();
    assert_eq!(code, Some(5), "{said}");
    assert!(
        said.contains("there is no upstream called nobody"),
        "{said}"
    );
}

/// A server without a sign-in that answers the handshake and leaves the rest to `answer`.
fn server(answer: impl Fn(&Value, &mut Wire) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            let asked = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            if asked["method"] == "initialize" {
                let result = json!({
                    "protocolVersion": "2025-06-18", "capabilities": {},
                    "serverInfo": {"name": "odd", "version": "0"},
                });
                let line = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result});
                let fields = "content-type: application/json\r\nmcp-session-id: one\r\n";
                wire.write(raw::answer("200 OK", fields, &line.to_string()));
            } else if request.start.starts_with("POST") {
                answer(&asked, &mut wire);
            } else {
                wire.write(raw::answer("405 Method Not Allowed", "", ""));
            }
        }
    })
}

fn bridged(upstream: &Upstream) -> (Daemon, Pipe) {
    let daemon = Daemon::start();
    let add = ["upstream", "add", "odd", &upstream.url("/mcp")];
    let (code, added) = daemon.run(&[&add[..], &["--auth", "none"]].concat());
    assert_eq!(code, 0, "{added}");
    let pipe = Pipe::open(&daemon, "odd");
    (daemon, pipe)
}

/// What a server answers that has nothing special in mind.
fn pong(asked: &Value, wire: &mut Wire) {
    let line = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {}});
    wire.write(raw::ok(&line.to_string()));
}

#[test]
fn a_stateless_agent_on_a_pipe_needs_no_handshake_before_and_after_a_restart() {
    let (told, asked) = std::sync::mpsc::channel();
    let odd = Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            let names = ["mcp-protocol-version", "mcp-method", "mcp-name"];
            let fields = names.map(|name| request.field(name).map(str::to_owned));
            let said: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            let _ = told.send((said["method"].clone(), fields));
            pong(&said, &mut wire);
        }
    });
    let (mut daemon, mut pipe) = bridged(&odd);
    let revision = "2026-07-28";
    let meta = json!({"io.modelcontextprotocol/protocolVersion": revision});
    for _ in 0..2 {
        let called = pipe.ask("tools/call", &json!({"name": "x", "_meta": meta}));
        assert_eq!(called["result"], json!({}), "{called}");
        let seen = asked.recv().expect("asked");
        let fields = [revision, "tools/call", "x"].map(|it| Some(it.to_owned()));
        assert_eq!(
            seen,
            (json!("tools/call"), fields),
            "the first that it hears"
        );
        daemon.kill();
        daemon.serve();
    }
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn a_notification_that_is_answered_with_an_endless_stream_holds_nothing_up() {
    let odd = server(|asked, wire| {
        if asked.get("id").is_some() {
            return pong(asked, wire);
        }
        wire.write(raw::EVENTS);
        wire.closed();
    });
    let (_daemon, mut pipe) = bridged(&odd);
    pipe.shake_hands();
    assert_eq!(pipe.ask("ping", &json!({}))["result"], json!({}));
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn a_signal_ends_a_bridge_whose_server_never_answers_a_notification() {
    let (asked_it, was_asked) = std::sync::mpsc::channel();
    let odd = server(move |_, wire| {
        let _ = asked_it.send(());
        wire.closed();
    });
    let (_daemon, mut pipe) = bridged(&odd);
    pipe.shake_hands();
    was_asked.recv().expect("the notification");
    let pid = rustix::process::Pid::from_child(&pipe.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("ours");
    assert_eq!(pipe.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn what_the_daemon_does_not_know_is_no_lost_session_of_the_server() {
    let odd = server(pong);
    let (daemon, mut pipe) = bridged(&odd);
    pipe.shake_hands();
    assert_eq!(pipe.ask("ping", &json!({}))["result"], json!({}));
    let (code, removed) = daemon.run(&["upstream", "remove", "odd"]);
    assert_eq!(code, 0, "{removed}");
    let refused = pipe.ask("tools/call", &json!({"name": "x"}));
    assert_eq!(
        refused["error"]["data"]["code"], "upstream_unknown",
        "{refused}"
    );
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn what_is_no_json_rpc_never_reaches_the_agent_and_is_answered_all_the_same() {
    let odd = server(|asked, wire| match asked["method"].as_str() {
        Some("tools/list") => {
            let page = raw::answer(
                "200 OK",
                "content-type: text/html\r\n",
                "<html>hello</html>",
            );
            wire.write(page);
        }
        Some("ping") => {
            let line = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {}});
            wire.write(raw::EVENTS);
            wire.write(raw::chunk("data: <p>one moment</p>\n\n"));
            wire.write(raw::chunk(&format!("data: {line}\n\n")));
            wire.write("0\r\n\r\n");
        }
        _ => pong(asked, wire),
    });
    let (_daemon, mut pipe) = bridged(&odd);
    pipe.shake_hands();
    let page = pipe.ask("tools/list", &json!({}));
    assert!(page["error"]["code"].is_i64(), "{page}");
    assert_eq!(pipe.ask("ping", &json!({}))["result"], json!({}));
    let (code, said) = pipe.close();
    assert_eq!(code, Some(0));
    assert!(said.contains("it is dropped"), "{said}");
}

#[test]
fn the_official_sdk_connects_over_a_pipe() {
    let (_authority, _upstream, daemon): (Part, Part, Daemon) = signed_in(&json!({}));
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts");
    let program = env!("CARGO_BIN_EXE_doorward");
    let state = daemon.state();
    let command = json!([program, "--state-dir", state, "bridge", "ev"]).to_string();
    let output = Command::new("node")
        .arg(parts.join("ts_client.mjs"))
        .args(["--stdio", &command, "--calls", "20", "--parallel", "4"])
        .args(["--notifications", "1"])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let result: Value = serde_json::from_slice(&output.stdout).expect("a result");
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(result["calls"], 20);
}

#[test]
fn a_mistake_in_the_config_of_a_daemon_that_died_is_told_instead_of_waited_for() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let mut pipe = Pipe::told(&daemon, &["bridge", "ev"]);
    pipe.shake_hands();
    daemon.kill();
    let file = daemon.state().join("config.toml");
    let right = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, format!("{right}\nnonsense = 1\n")).expect("written");
    let told = pipe.ask("tools/list", &json!({}));
    assert_eq!(told["error"]["data"]["code"], "config_invalid", "{told}");
    let text = told["error"]["message"].as_str().expect("a text");
    assert!(text.ends_with(&daemon.typed("config check")), "{text}");
    std::fs::write(&file, right).expect("written");
    assert!(tools(&mut pipe).len() > 1, "it works again");
}
