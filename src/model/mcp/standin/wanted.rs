//! What a message asks for, as far as it matters for who answers it. Read only when something is
//! wrong.

use serde_json::Value;

use super::super::Change;
use super::TOOL;

/// Where the stateless revisions name the revision of a request (2026-07-28, basic).
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// The request by which an agent of a stateless revision listens (2026-07-28, basic).
pub const LISTEN: &str = "subscriptions/listen";

/// The revision that these parameters name.
pub(super) fn revision_of(params: &Value) -> Option<&str> {
    params["_meta"][REVISION].as_str()
}

/// The lists of a server.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The method that asks for it.
    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of its result that holds its items.
    pub fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The list that this method asks for.
    pub fn of(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.method() == method)
    }
}

/// What a message wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `initialize`
    Hello,
    /// `server/discover`
    Discover,
    /// A list.
    List(List),
    /// `ping`
    Ping,
    /// A change of what the session is subscribed to.
    Subscribe(Change),
    /// A call of a tool.
    Call,
    /// A call of the tool that the stub lists.
    SignIn,
    /// Something else that a person waits for: `resources/read`, `prompts/get`.
    Fetch,
    /// `subscriptions/listen`
    Listen,
    /// Another request.
    Other,
    /// Nothing: a notification, or an answer.
    Nothing,
}

/// A message, and what it wants.
#[derive(Clone, Debug)]
pub struct Wants {
    /// Its id as it was written; null for none.
    pub id: Value,
    /// Its method; empty for answers.
    pub method: String,
    /// Its parameters; null for none.
    pub params: Value,
    /// What that comes to.
    pub wanted: Wanted,
}

impl Wants {
    /// Reads the message or messages of a body; `None` where it is neither.
    pub fn read(body: &[u8]) -> Option<Vec<Self>> {
        match serde_json::from_slice(body).ok()? {
            Value::Array(all) => all.into_iter().map(Self::of).collect(),
            one => Self::of(one).map(|one| vec![one]),
        }
    }

    /// Reads one message.
    pub fn of(mut message: Value) -> Option<Self> {
        let members = message.as_object_mut()?;
        let id = members.remove("id").unwrap_or_default();
        let params = members.remove("params").unwrap_or_default();
        let method = members.get("method").and_then(Value::as_str);
        let method = method.unwrap_or_default().to_owned();
        let wanted = if id.is_null() || method.is_empty() {
            Wanted::Nothing
        } else {
            wanted(&method, &params)
        };
        Some(Self {
            id,
            method,
            params,
            wanted,
        })
    }

    /// Whether an answer is waited for.
    pub fn is_answered(&self) -> bool {
        self.wanted != Wanted::Nothing
    }

    /// The revision that the request itself names: it is in no session then.
    pub fn stateless(&self) -> Option<&str> {
        revision_of(&self.params)
    }

    /// Under what the agent wants to hear of its progress.
    pub fn progress(&self) -> Option<&Value> {
        let token = &self.params["_meta"]["progressToken"];
        (token.is_string() || token.is_number()).then_some(token)
    }
}

fn wanted(method: &str, params: &Value) -> Wanted {
    if let Some(list) = List::of(method) {
        return Wanted::List(list);
    }
    let text = |name: &str| params[name].as_str().map(str::to_owned);
    if let Some(change) = Change::asked(method, text("uri"), text("level")) {
        return Wanted::Subscribe(change);
    }
    match method {
        "initialize" => Wanted::Hello,
        "server/discover" => Wanted::Discover,
        "ping" => Wanted::Ping,
        "tools/call" if params["name"] == TOOL => Wanted::SignIn,
        "tools/call" => Wanted::Call,
        "resources/read" | "prompts/get" => Wanted::Fetch,
        LISTEN => Wanted::Listen,
        _ => Wanted::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let wanted = |method: &str, params: Value| {
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            Wants::of(message).expect("a message").wanted
        };
        for list in List::ALL {
            assert_eq!(wanted(list.method(), Value::Null), Wanted::List(list));
        }
        assert_eq!(wanted("initialize", json!({})), Wanted::Hello);
        assert_eq!(wanted("tools/call", json!({"name": "x"})), Wanted::Call);
        assert_eq!(wanted("tools/call", json!({"name": TOOL})), Wanted::SignIn);
        assert_eq!(wanted("completion/complete", json!({})), Wanted::Other);
        let one = Wanted::Subscribe(Change::Add("a://1".to_owned()));
        assert_eq!(wanted("resources/subscribe", json!({"uri": "a://1"})), one);
        assert_eq!(wanted("resources/subscribe", json!({})), Wanted::Other);
    }

    #[test]
    fn a_batch_is_read_message_by_message() {
        let body = br#"[{"method":"notifications/x"},{"id":"a","method":"ping"},
            {"id":4,"result":{}}]"#;
        let read = Wants::read(body).expect("messages");
        let wanted: Vec<_> = read.iter().map(|one| one.wanted.clone()).collect();
        assert_eq!(wanted, [Wanted::Nothing, Wanted::Ping, Wanted::Nothing]);
        assert_eq!(read[1].id, "a");
        assert!(Wants::read(b"[1]").is_none());
        assert!(Wants::read(b"").is_none());
    }

    #[test]
    fn a_stateless_request_names_its_revision_and_a_patient_one_its_token() {
        let meta = json!({"progressToken": 5, REVISION: "2026-07-28"});
        let message = json!({"id": 1, "method": "tools/list", "params": {"_meta": meta}});
        let read = Wants::of(message).expect("a message");
        assert_eq!(read.stateless(), Some("2026-07-28"));
        assert_eq!(read.progress(), Some(&json!(5)));
    }
}
