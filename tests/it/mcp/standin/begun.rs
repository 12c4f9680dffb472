//! Sessions that are opened in the place of a server, and go on with it.

use std::time::Duration;

use doorward::model::session::Grant;
use doorward::web::routes::KeepAlive;
use serde_json::{Value, json};

use super::{Absent, SIGN_IN, TOOLS, repaired};
use crate::mcp::server::{CALL, HELLO, INITIALIZED};
use crate::support::agent::publish;
use crate::support::raw::answer;

#[test]
fn pain_12_an_agent_that_begins_signed_out_goes_on_when_somebody_signs_in() {
    let scene = Absent::set(|_| {});
    let welcome = scene.agent.post(HELLO);
    assert_eq!(welcome.status(), 200);
    assert_eq!(welcome.json()["id"], 0);
    assert_eq!(welcome.json()["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(welcome.field("doorward-origin"), Some("local"));
    let session = welcome.field("mcp-session-id").expect("one").to_owned();
    assert_eq!(scene.post(&session, INITIALIZED).status(), 202);
    let tools = scene.post(&session, TOOLS).json();
    assert_eq!(tools["id"], "t");
    assert_eq!(tools["result"]["tools"][0]["name"], "sign_in");
    let lists = [
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ];
    for (method, member) in lists {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string();
        assert_eq!(
            scene.post(&session, &body).json()["result"][member],
            json!([])
        );
    }
    let ping = scene.post(&session, r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    assert_eq!(ping.json()["result"], json!({}));
    for call in [CALL, SIGN_IN] {
        let told = scene.post(&session, call);
        assert_eq!(told.status(), 200);
        assert_eq!(told.json()["result"]["isError"], true);
        let text = told.json()["result"]["content"][0]["text"].to_string();
        assert!(text.contains("doorward login up"), "{text}");
        // Only who asks for the way gets the link.
        assert_eq!(text.contains("/login/up?t="), call == SIGN_IN, "{text}");
    }
    assert!(!scene.up.was_asked());

    scene.sign_in();
    let call = scene.post(&session, CALL);
    assert_eq!((call.status(), &call.json()["id"]), (200, &json!(7)));
    assert_eq!(call.json()["result"], json!({}), "the server's own answer");
    assert_eq!(call.all("mcp-session-id"), [session.as_str()]);
    let seen = scene.up.all_seen();
    assert_eq!(seen[0].text(), HELLO, "the agent's own, byte for byte");
    assert_eq!(seen[2].text(), CALL);
    scene.post(&session, CALL);
    assert_eq!(scene.told(), repaired("s-1")[2..]);
    // What it was told to call says so.
    let over = scene.post(&session, SIGN_IN).json();
    assert_eq!(over["result"]["isError"], Value::Null);
    assert!(!scene.up.was_asked());
    assert_eq!(scene.ask(&session, "DELETE", "", "").status(), 202);
    let end = ("DELETE".to_owned(), Some("s-1".to_owned()));
    assert_eq!(scene.told(), [end]);
}

#[test]
fn pain_12_a_server_that_is_down_is_there_when_it_is_back() {
    for down in [
        answer("503 Service Unavailable", "", ""),
        answer("500 Internal Server Error", "", "oops"),
        answer("429 Too Many Requests", "", ""),
    ] {
        let scene = Absent::set(|_| {});
        scene.sign_in();
        scene.ways().hello = Some(down);
        let session = scene.greet();
        assert!(session.starts_with("dw-"));
        let told = scene.post(&session, CALL);
        assert_eq!(told.status(), 200);
        assert_eq!(told.json()["result"]["isError"], true);
        scene.up.all_seen();
        scene.ways().hello = None;
        assert_eq!(scene.post(&session, CALL).json()["result"], json!({}));
        assert_eq!(scene.told(), repaired("s-1"));
    }
}

#[test]
fn pain_44_an_open_stream_tells_that_the_lists_have_changed() {
    let scene = Absent::set(|_| {});
    let sessions = [scene.greet(), scene.greet(), scene.greet()];
    let mut wires = sessions.each_ref().map(|session| scene.listen(session));
    scene.ways().lost = answer("405 Method Not Allowed", "", "");
    scene.sign_in();
    // One sign-in is enough for all of them.
    for wire in &mut wires {
        let mut heard = String::new();
        while let Ok(Some(chunk)) = wire.chunk() {
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
        for list in ["tools", "prompts", "resources"] {
            assert!(
                heard.contains(&format!("notifications/{list}/list_changed")),
                "{heard}"
            );
        }
    }
    let told = scene.told();
    let count = |what: &str| told.iter().filter(|(asked, _)| asked == what).count();
    assert_eq!((count("initialize"), count("GET")), (3, 3), "{told:?}");
    for session in &sessions {
        assert_eq!(scene.post(session, CALL).json()["result"], json!({}));
    }
}

#[test]
fn pain_05_a_call_that_waits_shows_signs_of_life_and_goes_out_with_the_sign_in() {
    let scene = Absent::set(|spec| {
        spec.hold = Duration::from_hours(1);
        spec.comment_after = Duration::from_millis(1);
    });
    let session = scene.greet();
    let call = json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "x", "_meta": {"progressToken": "p"}},
    });
    let fields =
        format!("mcp-session-id: {session}\r\naccept: application/json, text/event-stream\r\n");
    let mut wire = scene.agent.connect();
    wire.write(
        scene
            .agent
            .request("POST", "/u/up", &fields, &call.to_string()),
    );
    let answered = wire.head().expect("an answer");
    assert_eq!(answered.field("content-type"), Some("text/event-stream"));
    let mut heard = String::new();
    for _ in 0..3 {
        let chunk = wire.chunk().expect("whole").expect("a sign of life");
        let chunk = String::from_utf8(chunk).expect("text");
        assert!(chunk.contains(r#""progressToken":"p""#), "{chunk}");
    }
    assert!(!scene.up.was_asked());
    scene.sign_in();
    while let Ok(Some(chunk)) = wire.chunk() {
        heard.push_str(&String::from_utf8_lossy(&chunk));
    }
    let last = heard.trim_end().rsplit("data: ").next().expect("an event");
    let last: Value = serde_json::from_str(last).expect("a message");
    assert_eq!(last, json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    assert_eq!(scene.told(), repaired("s-1"), "it went out once");
}

#[test]
fn a_token_that_ended_while_the_agent_waited_is_no_obstacle() {
    let scene = Absent::set(|_| {});
    let session = scene.greet();
    scene.sign_in();
    scene.ways().only = Some("Bearer token-2");
    scene.agent.source.behave(|slot, rejected| {
        if rejected.is_some() {
            publish(slot, 2);
        }
        Ok(())
    });
    assert_eq!(scene.post(&session, CALL).json()["result"], json!({}));
}

#[test]
fn another_revision_than_the_one_that_was_told_is_named_to_the_server() {
    let scene = Absent::set(|_| {});
    let hello = HELLO.replace("2025-06-18", "2025-11-25");
    let welcome = scene.agent.post(&hello);
    assert_eq!(welcome.json()["result"]["protocolVersion"], "2025-11-25");
    let session = welcome.field("mcp-session-id").expect("one").to_owned();
    scene.sign_in();
    let fields = "mcp-protocol-version: 2025-11-25\r\n";
    let call = scene.ask(&session, "POST", fields, CALL);
    assert_eq!(call.json()["result"], json!({}));
    let seen = scene.up.all_seen();
    assert_eq!(seen[0].field("mcp-protocol-version"), None);
    for later in &seen[1..] {
        assert_eq!(later.all("mcp-protocol-version"), ["2025-06-18"]);
    }
}

#[test]
fn what_it_subscribes_to_while_it_waits_is_subscribed_to() {
    let scene = Absent::set(|_| {});
    let session = scene.greet();
    let wish =
        r#"{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a://1"}}"#;
    assert_eq!(scene.post(&session, wish).json()["result"], json!({}));
    scene.sign_in();
    scene.post(&session, CALL);
    let seen = scene.up.all_seen();
    assert_eq!(seen[2].json()["params"]["uri"], "a://1");
}

#[test]
fn a_session_that_waits_is_for_its_own_agent_only() {
    let scene = Absent::set(|_| {});
    let session = scene.greet();
    let (other, _) = scene.agent.mint(9, Grant::All);
    let request = scene.agent.request(
        "POST",
        "/u/up",
        &format!("mcp-session-id: {session}\r\n"),
        TOOLS,
    );
    let request = request.replace(&scene.agent.token, &other);
    let refused = scene.agent.connect().ask(request);
    assert_eq!(refused.status(), 404);
    assert_eq!(refused.json()["error"]["data"]["code"], "mcp_session");
    assert!(!refused.text().contains("tools\""));
    // And for nobody once it has ended: agents shake hands again on 404.
    assert_eq!(scene.ask(&session, "DELETE", "", "").status(), 202);
    let gone = scene.post(&session, TOOLS);
    assert_eq!((gone.status(), &gone.json()["id"]), (404, &json!("t")));
    assert!(!scene.up.was_asked());
}

#[test]
fn switched_off_it_tells_the_trouble() {
    let scene = Absent::set(|spec| spec.keep_alive = KeepAlive::Off);
    scene.sign_in();
    scene.ways().hello = Some(answer("503 Service Unavailable", "", "busy"));
    let refused = scene.agent.post(HELLO);
    assert_eq!((refused.status(), refused.text().as_str()), (503, "busy"));
}
