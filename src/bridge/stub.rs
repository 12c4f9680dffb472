//! What an agent is told while its server cannot be had: agents try a server once, and one that
//! fails its first handshake is lost for the whole session. So the handshake succeeds, the lists
//! hold one tool that says what to do, and the real lists are announced when they are there.

use serde_json::{Value, json};

use super::message::Message;

/// The tool that stands for all others.
pub(super) const TOOL: &str = "sign_in";

/// The result of a request while `why` holds; `None` where only an error is honest.
pub(super) fn result(message: &Message, upstream: &str, why: &str) -> Option<Value> {
    let changing = json!({ "listChanged": true });
    Some(match message.method.as_deref()? {
        "initialize" => json!({
            "protocolVersion": asked_revision(message),
            "capabilities": { "tools": changing, "prompts": changing, "resources": changing },
            "serverInfo": { "name": "doorward", "version": env!("CARGO_PKG_VERSION") },
            "instructions": why,
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": [{
            "name": TOOL,
            "description": format!(
                "The tools of {upstream} are not available yet. {why} \
                 Call this to see whether that has changed."
            ),
            "inputSchema": { "type": "object", "properties": {} },
        }]}),
        "prompts/list" => json!({ "prompts": [] }),
        "resources/list" => json!({ "resources": [] }),
        "resources/templates/list" => json!({ "resourceTemplates": [] }),
        "tools/call" => json!({
            "resultType": "complete",
            "content": [{ "type": "text", "text": why }],
            "isError": true,
        }),
        _ => return None,
    })
}

/// What a call of the stand-in is told when it is not needed any more.
pub(super) fn over(upstream: &str) -> Value {
    let text = format!("{upstream} is there now: list its tools again and use those.");
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] })
}

/// The messages that announce the real lists.
pub(super) fn announcements() -> impl Iterator<Item = String> {
    ["tools", "prompts", "resources"].into_iter().map(|list| {
        let method = format!("notifications/{list}/list_changed");
        json!({ "jsonrpc": "2.0", "method": method }).to_string()
    })
}

fn asked_revision(message: &Message) -> String {
    let body: Value = serde_json::from_slice(&message.bytes).unwrap_or_default();
    let asked = body["params"]["protocolVersion"].as_str();
    asked.unwrap_or("2025-06-18").to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn told(method: &str) -> Option<Value> {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"protocolVersion":"2025-11-25"}}}}"#
        );
        let message = Message::parse(Bytes::from(text)).expect("a message");
        result(&message, "linear", "Sign in: doorward login linear.")
    }

    #[test]
    fn the_handshake_succeeds_and_says_what_to_do() {
        let hello = told("initialize").expect("a result");
        assert_eq!(hello["protocolVersion"], "2025-11-25");
        assert_eq!(hello["capabilities"]["tools"]["listChanged"], true);
        let tools = told("tools/list").expect("a result");
        let about = tools["tools"][0]["description"].as_str().expect("a text");
        assert!(about.contains("doorward login linear"), "{about}");
        let call = told("tools/call").expect("a result");
        assert_eq!(call["isError"], true);
        assert_eq!(
            call["resultType"], "complete",
            "clients of 2026-07-28 want it"
        );
        assert_eq!(told("resources/read"), None, "nothing is made up");
    }
}
