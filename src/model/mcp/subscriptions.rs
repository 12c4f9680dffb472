//! The resources that a session has subscribed to (MCP 2025-11-25 resources, Subscriptions): what
//! has to be asked for again when the session is opened anew.

use serde::Deserialize;
use serde_json::json;

use super::object;

/// How many are kept of one session.
const MOST: usize = 64;
/// How long they may be together.
const LONGEST: usize = 4 << 10;
/// The longest message that is looked at.
const LONGEST_MESSAGE: usize = 4 << 10;
/// What no message without it is about, however its slashes are written.
const WORD: &[u8] = b"subscribe";

/// What a message changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more.
    Add(String),
    /// One less.
    Remove(String),
}

#[derive(Deserialize)]
struct Message {
    method: String,
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    uri: String,
}

impl Change {
    /// What `body` changes. Nearly no message does, and none of those is read further than it
    /// takes to find that out.
    pub fn of(body: &[u8]) -> Option<Self> {
        if body.len() > LONGEST_MESSAGE || memchr::memmem::find(body, WORD).is_none() {
            return None;
        }
        let message: Message = object(body)?;
        match message.method.as_str() {
            "resources/subscribe" => Some(Self::Add(message.params.uri)),
            "resources/unsubscribe" => Some(Self::Remove(message.params.uri)),
            _ => None,
        }
    }
}

/// The subscriptions of one session, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    uris: Vec<String>,
}

impl Subscriptions {
    /// Takes note of a change that the server agreed to. There is no room for more than some.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Remove(uri) => self.uris.retain(|kept| *kept != uri),
            Change::Add(uri) => {
                let length: usize = self.uris.iter().map(String::len).sum();
                let room = self.uris.len() < MOST && length + uri.len() <= LONGEST;
                if room && !self.uris.contains(&uri) {
                    self.uris.push(uri);
                }
            }
        }
    }

    /// What is subscribed to, oldest first.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The requests that ask for them again; their ids are unlike those of any client.
    pub fn requests(&self) -> Vec<String> {
        let request = |(number, uri): (usize, &String)| {
            json!({
                "jsonrpc": "2.0",
                "id": format!("doorward-subscribe-{number}"),
                "method": "resources/subscribe",
                "params": { "uri": uri },
            })
            .to_string()
        };
        self.uris.iter().enumerate().map(request).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(uri: &str) -> Change {
        Change::Add(uri.to_owned())
    }

    #[test]
    fn only_subscriptions_are_changes() {
        let of = |body: &str| Change::of(body.as_bytes());
        assert_eq!(
            of(r#"{"id":1,"method":"resources/subscribe","params":{"uri":"a://b"}}"#),
            Some(add("a://b"))
        );
        assert_eq!(
            of(r#"{"id":1,"params":{"uri":"a://b"},"method":"resources\/unsubscribe"}"#),
            Some(Change::Remove("a://b".to_owned()))
        );
        for other in [
            r#"{"id":1,"method":"tools/call","params":{"uri":"resources/subscribe"}}"#,
            r#"{"id":1,"method":"resources/subscribe"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"["resources/subscribe",{"uri":"a://b"}]"#,
            "subscribe",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        let long = "x".repeat(LONGEST_MESSAGE);
        let long = format!(r#"{{"method":"resources/subscribe","params":{{"uri":"{long}"}}}}"#);
        assert_eq!(of(&long), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_asked_for_in_order() {
        let mut kept = Subscriptions::default();
        for number in 0..2 * MOST {
            kept.apply(add(&number.to_string()));
            kept.apply(add("0"));
        }
        assert_eq!(kept.requests().len(), MOST);
        kept.apply(Change::Remove("0".to_owned()));
        kept.apply(Change::Remove("none".to_owned()));
        let first = &kept.requests()[0];
        assert_eq!(Change::of(first.as_bytes()), Some(add("1")));
        let mut kept = Subscriptions::default();
        kept.apply(add(&"x".repeat(LONGEST)));
        kept.apply(add("y"));
        assert_eq!(kept.requests().len(), 1);
    }
}
