//! Asking the person through the agent program (MCP 2025-11-25 and 2026-07-28, elicitation, URL
//! mode): for programs that say they can, where it is switched on. The link is for the person; the
//! message to the model never holds it.

use serde_json::{Value, json};

use super::{Wants, revision_of};

/// The error that tells that a link has to be opened first (2025-11-25).
const REQUIRED: i32 = -32042;
/// Where the stateless revisions say what a client can do.
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What a client sends back with the same request (2026-07-28): tells it from the first one.
const STATE: &str = "doorward-sign-in";

/// What a person is asked.
#[derive(Clone, Copy, Debug)]
pub struct Elicitation<'a> {
    /// The upstream account.
    pub upstream: &'a str,
    /// The link that begins the sign-in.
    pub url: &'a str,
    /// What tells the end of it from that of another one.
    pub id: &'a str,
}

/// Whether the client of this request can be asked to open a link, and has not been; `hello` is
/// the handshake of its session, where it is in one.
pub fn can_ask(one: &Wants, hello: Option<&[u8]>) -> bool {
    let url = |capabilities: &Value| capabilities["elicitation"]["url"].is_object();
    if revision_of(&one.params).is_some() {
        let asked = one.params["requestState"] == STATE;
        return !asked && url(&one.params["_meta"][CAPABILITIES]);
    }
    let hello: Option<Value> = hello.and_then(|hello| serde_json::from_slice(hello).ok());
    hello.is_some_and(|hello| url(&hello["params"]["capabilities"]))
}

impl Elicitation<'_> {
    /// The answer to a call that has to wait for the sign-in; `why` is for the model.
    pub fn answer(&self, one: &Wants, why: &str) -> Value {
        let message = format!(
            "Sign in to {} so that your agents can use it.",
            self.upstream
        );
        let mut params = json!({ "mode": "url", "message": message, "url": self.url });
        if revision_of(&one.params).is_some() {
            let request = json!({ "method": "elicitation/create", "params": params });
            return json!({
                "jsonrpc": "2.0",
                "id": one.id,
                "result": {
                    "resultType": "input_required",
                    "inputRequests": { "sign_in": request },
                    "requestState": STATE,
                },
            });
        }
        params["elicitationId"] = self.id.into();
        json!({
            "jsonrpc": "2.0",
            "id": one.id,
            "error": {
                "code": REQUIRED,
                "message": why,
                "data": { "elicitations": [params] },
            },
        })
    }
}

/// The message that tells a client that the sign-in is done.
pub fn completion(id: &str) -> String {
    let method = "notifications/elicitation/complete";
    json!({ "jsonrpc": "2.0", "method": method, "params": { "elicitationId": id } }).to_string()
}

/// A request without its answer to our question, which is nothing to the server; `None` where it
/// holds none.
pub fn without_answer(body: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(body, STATE.as_bytes())?;
    let mut message: Value = serde_json::from_slice(body).ok()?;
    let params = message.get_mut("params")?.as_object_mut()?;
    if params.get("requestState")? != STATE {
        return None;
    }
    params.remove("requestState");
    params.remove("inputResponses");
    serde_json::to_vec(&message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Elicitation<'static> = Elicitation {
        upstream: "linear",
        url: "http://127.0.0.1:5177/login/linear?t=x",
        id: "e1",
    };

    fn call(params: Value) -> Wants {
        let message = json!({"id": 7, "method": "tools/call", "params": params});
        Wants::of(message).expect("a message")
    }

    fn modern(capabilities: Value, more: &Value) -> Wants {
        let revision = "io.modelcontextprotocol/protocolVersion";
        let mut params = json!({"name": "x", "_meta": {revision: "2026-07-28"}});
        params["_meta"][CAPABILITIES] = capabilities;
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        call(params)
    }

    #[test]
    fn only_clients_that_say_so_are_asked() {
        let plain = call(json!({"name": "x"}));
        let hello = |capabilities: &str| {
            let text = format!(r#"{{"params":{{"capabilities":{capabilities}}}}}"#);
            can_ask(&plain, Some(text.as_bytes()))
        };
        assert!(hello(r#"{"elicitation":{"url":{}}}"#));
        assert!(!hello(r#"{"elicitation":{}}"#));
        assert!(!hello(r#"{"elicitation":{"form":{}}}"#));
        assert!(!can_ask(&plain, None));
        let able = json!({"elicitation": {"url": {}}});
        assert!(can_ask(&modern(able.clone(), &Value::Null), None));
        assert!(!can_ask(&modern(json!({}), &Value::Null), None));
        let again = modern(able, &json!({"requestState": STATE}));
        assert!(!can_ask(&again, None), "once");
    }

    #[test]
    fn the_link_is_for_the_person_and_the_words_are_for_the_model() {
        let old = ASKED.answer(&call(json!({"name": "x"})), "Next: doorward login linear");
        assert_eq!(old["error"]["code"], -32042);
        let message = old["error"]["message"].as_str().expect("words");
        assert!(message.contains("doorward login linear") && !message.contains("?t="));
        let asked = &old["error"]["data"]["elicitations"][0];
        assert_eq!(
            (&asked["mode"], &asked["elicitationId"]),
            (&"url".into(), &"e1".into())
        );
        let new = ASKED.answer(&modern(json!({}), &Value::Null), "why");
        assert_eq!(new["result"]["resultType"], "input_required");
        let asked = &new["result"]["inputRequests"]["sign_in"];
        assert_eq!(asked["method"], "elicitation/create");
        assert_eq!(asked["params"]["url"], ASKED.url);
        assert!(asked["params"].get("elicitationId").is_none());
    }

    #[test]
    fn the_server_hears_nothing_of_the_question() {
        let asked = json!({"id": 7, "method": "tools/call", "params": {
            "name": "x", "requestState": STATE, "inputResponses": {"sign_in": {"action": "accept"}},
        }});
        let bare = without_answer(asked.to_string().as_bytes()).expect("another body");
        let bare: Value = serde_json::from_slice(&bare).expect("JSON");
        assert_eq!(
            bare,
            json!({"id": 7, "method": "tools/call", "params": {"name": "x"}})
        );
        let own = json!({"params": {"name": STATE, "requestState": "theirs"}});
        assert_eq!(without_answer(own.to_string().as_bytes()), None);
        assert_eq!(without_answer(b"{}"), None);
    }
}
