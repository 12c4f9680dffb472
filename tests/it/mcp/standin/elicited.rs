//! Programs that can ask the person for the sign-in themselves.

use doorward::web::routes::SignInTold;
use serde_json::{Value, json};

use super::Absent;
use crate::mcp::server::CALL;
use crate::support::raw::answer;

#[test]
fn px_url_elicitation_optin() {
    let able = json!({"elicitation": {"url": {}}});
    let hello = |capabilities: &Value| {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities});
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string()
    };
    let call = |scene: &Absent, capabilities: &Value| {
        let welcome = scene.agent.post(&hello(capabilities));
        let session = welcome.field("mcp-session-id").expect("one").to_owned();
        (scene.post(&session, CALL).json(), session)
    };
    let off = Absent::set(|_| {});
    assert_eq!(call(&off, &able).0["result"]["isError"], true);
    let scene = Absent::set(|spec| spec.sign_in = SignInTold::Elicited);
    assert_eq!(call(&scene, &json!({})).0["result"]["isError"], true);
    let (asked, session) = call(&scene, &able);
    assert_eq!(
        (&asked["id"], &asked["error"]["code"]),
        (&json!(7), &json!(-32042))
    );
    let message = asked["error"]["message"].as_str().expect("words");
    assert!(message.contains("doorward login up") && !message.contains("?t="));
    let question = &asked["error"]["data"]["elicitations"][0];
    assert_eq!(question["url"], "http://127.0.0.1:5177/login/up?t=x");
    let id = question["elicitationId"].as_str().expect("an id");
    // The agent hears when it is done.
    let mut wire = scene.listen(&session);
    scene.ways().lost = answer("405 Method Not Allowed", "", "");
    scene.sign_in();
    let news = wire.chunk().expect("whole").expect("news");
    let news = String::from_utf8(news).expect("text");
    assert!(
        news.contains("notifications/elicitation/complete") && news.contains(id),
        "{news}"
    );
    assert_eq!(scene.post(&session, CALL).json()["result"], json!({}));
}

#[test]
fn px_url_elicitation_optin_in_the_stateless_revision() {
    let scene = Absent::set(|spec| spec.sign_in = SignInTold::Elicited);
    let mut call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "x",
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}},
        },
    }});
    let asked = scene.agent.post(&call.to_string()).json();
    assert_eq!(asked["result"]["resultType"], "input_required");
    let question = &asked["result"]["inputRequests"]["sign_in"]["params"];
    assert_eq!(question["url"], "http://127.0.0.1:5177/login/up?t=x");
    // It answers too early: it is told, and not asked again.
    let plain = call.clone();
    call["params"]["requestState"] = asked["result"]["requestState"].clone();
    call["params"]["inputResponses"] = json!({"sign_in": {"action": "accept"}});
    let told = scene.agent.post(&call.to_string()).json();
    assert_eq!(told["result"]["isError"], true);
    scene.sign_in();
    let answered = scene.agent.post(&call.to_string()).json();
    assert_eq!(answered["result"], json!({}));
    assert_eq!(
        scene.up.seen().json(),
        plain,
        "the server hears nothing of it"
    );
}
