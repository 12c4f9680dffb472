//! What is said of a server of which nothing is known yet: that it is there, and one tool that
//! tells what to do. The real lists are announced when they are there.

use serde_json::{Value, json};

use super::{List, revision_of};

/// The tool that stands for all others.
pub const TOOL: &str = "sign_in";

/// The revisions with a handshake (MCP, Versioning), newest first.
const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The messages that announce the real lists.
pub const ANNOUNCEMENTS: [&str; 3] = [
    r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}"#,
];

/// The result of a request to `upstream` while `why` holds; `None` where only an error is honest.
pub fn result(method: &str, params: &Value, upstream: &str, why: &str) -> Option<Value> {
    let changing = json!({ "listChanged": true });
    let capabilities = json!({ "tools": changing, "prompts": changing, "resources": changing });
    let info = json!({ "name": "doorward", "version": env!("CARGO_PKG_VERSION") });
    Some(match method {
        "initialize" => json!({
            "protocolVersion": revision(params),
            "capabilities": capabilities,
            "serverInfo": info,
            "instructions": why,
        }),
        // Only revisions with a handshake: nothing is known of the server, and the handshake can
        // be made good with it later. Clients of both eras go on with `initialize` then.
        "server/discover" => json!({
            "resultType": "complete",
            "supportedVersions": REVISIONS,
            "capabilities": capabilities,
            "serverInfo": info,
            "instructions": why,
            "ttlMs": 0,
            "cacheScope": "private",
        }),
        "ping" => json!({}),
        "tools/call" => json!({
            "resultType": "complete",
            "content": [{ "type": "text", "text": why }],
            "isError": true,
        }),
        method => list(List::of(method)?, params, upstream, why),
    })
}

fn list(list: List, params: &Value, upstream: &str, why: &str) -> Value {
    let items = match list {
        List::Tools => json!([{
            "name": TOOL,
            "description": format!(
                "The tools of {upstream} are not available yet. {why}. \
                 Call this to see whether that has changed."
            ),
            "inputSchema": { "type": "object", "properties": {} },
        }]),
        _ => json!([]),
    };
    let mut result = json!({ list.member(): items });
    if revision_of(params).is_some() {
        fleeting(&mut result);
    }
    result
}

/// Makes a result of the stateless revisions one that nobody keeps (2026-07-28, caching).
pub(super) fn fleeting(result: &mut Value) {
    result["resultType"] = "complete".into();
    result["ttlMs"] = 0.into();
    result["cacheScope"] = "private".into();
}

/// What a call of the stand-in is told while it is needed: it asked for the way, so it gets the
/// link as well.
pub fn unsigned(why: &str, link: Option<&str>) -> Value {
    let link = link.map_or_else(String::new, |link| format!(" Or open this link: {link}"));
    let text = format!("{why}.{link}");
    json!({ "content": [{ "type": "text", "text": text }], "isError": true })
}

/// What a call of the stand-in is told when it is not needed any more.
pub fn over(upstream: &str) -> Value {
    let text = format!(
        "{upstream} is there now: list its tools again and use those. A program that does not list \
         them again has them after its next start."
    );
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] })
}

/// The revision that is agreed on: the one that was asked for where it exists, else the newest
/// (MCP 2025-11-25 lifecycle, Version Negotiation).
pub(super) fn revision(params: &Value) -> &'static str {
    let asked = params["protocolVersion"].as_str();
    let known = REVISIONS.into_iter().find(|known| asked == Some(*known));
    known.unwrap_or(REVISIONS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, params: &Value) -> Option<Value> {
        result(method, params, "linear", "Sign in: doorward login linear")
    }

    #[test]
    fn the_handshake_succeeds_and_says_what_to_do() {
        let hello = told("initialize", &json!({"protocolVersion": "2025-06-18"}));
        let hello = hello.expect("a result");
        assert_eq!(hello["protocolVersion"], "2025-06-18");
        assert_eq!(hello["capabilities"]["tools"]["listChanged"], true);
        let unknown = told("initialize", &json!({"protocolVersion": "2031-01-01"}));
        assert_eq!(unknown.expect("a result")["protocolVersion"], REVISIONS[0]);
        let tools = told("tools/list", &Value::Null).expect("a result");
        let about = tools["tools"][0]["description"].as_str().expect("a text");
        assert!(about.contains("doorward login linear"), "{about}");
        let templates = told("resources/templates/list", &Value::Null);
        assert_eq!(templates.expect("a result")["resourceTemplates"], json!([]));
        let call = told("tools/call", &Value::Null).expect("a result");
        assert_eq!(call["isError"], true);
        let read = told("resources/read", &Value::Null);
        assert_eq!(read, None, "nothing is made up");
    }

    #[test]
    fn a_client_of_both_eras_is_led_to_the_handshake() {
        let discovered = told("server/discover", &Value::Null).expect("a result");
        let versions = discovered["supportedVersions"].as_array().expect("a list");
        assert!(versions.iter().all(|one| one.as_str() < Some("2026")));
    }

    #[test]
    fn the_announcements_are_messages() {
        for line in ANNOUNCEMENTS {
            let message: Value = serde_json::from_str(line).expect("JSON");
            assert!(
                message["method"]
                    .as_str()
                    .expect("one")
                    .ends_with("list_changed")
            );
        }
    }
}
