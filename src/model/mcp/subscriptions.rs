//! What a session has subscribed to: resources (MCP 2025-11-25 resources, Subscriptions) and log
//! messages from a level on (logging, Setting Log Level). It has to be asked for again when the
//! session is opened anew.

use serde::Deserialize;
use serde_json::{Value, json};

use super::object;

/// How many are kept of one session.
const MOST: usize = 64;
/// How long they may be together.
const LONGEST: usize = 4 << 10;
/// The longest message that is looked at.
const LONGEST_MESSAGE: usize = 4 << 10;
/// The longest name of a level.
const LONGEST_LEVEL: usize = 32;
/// What no message without one of them is about, however its slashes are written.
const WORDS: [&[u8]; 2] = [b"subscribe", b"setLevel"];

/// What a message changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more.
    Add(String),
    /// One less.
    Remove(String),
    /// Log messages from this level on.
    Level(String),
}

#[derive(Deserialize)]
struct Message {
    method: String,
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    uri: Option<String>,
    level: Option<String>,
}

impl Change {
    /// What `body` changes. Nearly no message does, and none of those is read further than it
    /// takes to find that out.
    pub fn of(body: &[u8]) -> Option<Self> {
        let has = |word: &&[u8]| memchr::memmem::find(body, word).is_some();
        if body.len() > LONGEST_MESSAGE || !WORDS.iter().any(has) {
            return None;
        }
        let Message { method, params } = object(body)?;
        Self::asked(&method, params.uri, params.level)
    }

    /// What a request with this method and these parameters changes.
    pub fn asked(method: &str, uri: Option<String>, level: Option<String>) -> Option<Self> {
        match method {
            "resources/subscribe" => uri.map(Self::Add),
            "resources/unsubscribe" => uri.map(Self::Remove),
            "logging/setLevel" => level.map(Self::Level),
            _ => None,
        }
    }
}

/// The subscriptions of one session, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    uris: Vec<String>,
    level: Option<String>,
}

impl Subscriptions {
    /// Takes note of a change that the server agreed to. There is no room for more than some.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Remove(uri) => self.uris.retain(|kept| *kept != uri),
            Change::Level(level) if level.len() <= LONGEST_LEVEL => self.level = Some(level),
            Change::Level(_) => {}
            Change::Add(uri) => {
                let length: usize = self.uris.iter().map(String::len).sum();
                let room = self.uris.len() < MOST && length + uri.len() <= LONGEST;
                if room && !self.uris.contains(&uri) {
                    self.uris.push(uri);
                }
            }
        }
    }

    /// From which level on it hears log messages, where it has said so.
    pub fn level(&self) -> Option<&str> {
        self.level.as_deref()
    }

    /// The resources, oldest first.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The requests that ask for them again; their ids are unlike those of any client.
    pub fn requests(&self) -> Vec<String> {
        let request = |number: usize, method: &str, params: Value| {
            json!({
                "jsonrpc": "2.0",
                "id": format!("doorward-subscribe-{number}"),
                "method": method,
                "params": params,
            })
            .to_string()
        };
        let uris = self.uris.iter().enumerate();
        let uris = uris.map(|(number, uri)| {
            let params = json!({ "uri": uri });
            request(number, "resources/subscribe", params)
        });
        let level = self.level.iter().map(|level| {
            let params = json!({ "level": level });
            request(self.uris.len(), "logging/setLevel", params)
        });
        uris.chain(level).collect()
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
        assert_eq!(
            of(r#"{"id":1,"method":"logging/setLevel","params":{"level":"error"}}"#),
            Some(Change::Level("error".to_owned()))
        );
        for other in [
            r#"{"id":1,"method":"logging/setLevel","params":{"uri":"a://b"}}"#,
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
        for level in ["debug", "error", &"x".repeat(LONGEST_LEVEL + 1)] {
            kept.apply(Change::Level(level.to_owned()));
        }
        assert_eq!(kept.level(), Some("error"));
        let last = kept.requests().pop().expect("one");
        let level = Change::Level("error".to_owned());
        assert_eq!(Change::of(last.as_bytes()), Some(level));
        let mut kept = Subscriptions::default();
        kept.apply(add(&"x".repeat(LONGEST)));
        kept.apply(add("y"));
        assert_eq!(kept.requests().len(), 1);
    }
}
