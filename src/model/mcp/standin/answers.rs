//! What a server said last to a handshake and to its lists, so that an agent that begins while it
//! cannot be asked finds its real tools: several agents ignore that lists have changed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::stub::{fleeting, revision};
use super::{List, revision_of};
use crate::model::mcp::data_of_events;
use crate::model::time::Timestamp;

/// The longest answer that is kept.
pub const LONGEST_KEPT: usize = 256 << 10;
/// How long the answers of one account may be together.
const MOST_BYTES: usize = 1 << 20;
/// How many pages of one list are kept.
const MOST_PAGES: usize = 64;
/// The longest request that is looked at.
const LONGEST_ASKED: usize = 4 << 10;

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// `initialize`
    Hello,
    /// `server/discover`
    Discover,
    /// A list.
    List(List),
}

impl Topic {
    /// The topic of a request with this method.
    pub fn of(method: &str) -> Option<Self> {
        match method {
            "initialize" => Some(Self::Hello),
            "server/discover" => Some(Self::Discover),
            method => List::of(method).map(Self::List),
        }
    }
}

/// A request whose answer is worth keeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub topic: Topic,
    /// Its id as it was written.
    pub id: Value,
    /// Which page of a list it asks for.
    pub cursor: Option<String>,
}

impl Question {
    /// Reads a request. Nearly none is one of these, and of the others no more is read than it
    /// takes to find their method.
    pub fn of(body: &[u8]) -> Option<Self> {
        if body.len() > LONGEST_ASKED || !may_be_one(body) {
            return None;
        }
        let message: Value = serde_json::from_slice(body).ok()?;
        let id = message.get("id").filter(|id| !id.is_null())?;
        let params = &message["params"];
        if params.get("requestState").is_some() || params.get("inputResponses").is_some() {
            // Asked once more with what a person said: answered for that (2026-07-28, caching).
            return None;
        }
        let cursor = params["cursor"].as_str();
        Some(Self {
            topic: Topic::of(message["method"].as_str()?)?,
            id: id.clone(),
            cursor: cursor.map(str::to_owned),
        })
    }
}

/// Whether the first member with that name is one of the methods.
fn may_be_one(body: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"method\""));
    let Some(at) = NAME.find(body) else {
        return false;
    };
    let rest = body[at + NAME.needle().len()..].trim_ascii_start();
    let Some(rest) = rest.strip_prefix(b":") else {
        return false;
    };
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"\"") else {
        return false;
    };
    let end = rest.iter().take(32).position(|byte| *byte == b'"');
    let method = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
    method.and_then(Topic::of).is_some()
}

/// The result in the answer to the request `id`: from JSON, or from a stream of events. One that is
/// not complete, since something is wanted first, is none.
pub fn result_of(id: &Value, body: &[u8], events: bool) -> Option<Value> {
    let of = |text: &[u8]| {
        let mut message: Value = serde_json::from_slice(text).ok()?;
        let own = message["id"] == *id;
        own.then(|| message["result"].take())
            .filter(|result| result.is_object() && is_complete(result))
    };
    if !events {
        return of(body);
    }
    let events = data_of_events(body);
    events.iter().find_map(|data| of(data.as_bytes()))
}

/// The revisions before 2026-07-28 have results of one kind only.
fn is_complete(result: &Value) -> bool {
    result
        .get("resultType")
        .is_none_or(|kind| kind == "complete")
}

/// The last good answers of one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    #[serde(default)]
    hello: Option<Value>,
    #[serde(default)]
    discovered: Option<Value>,
    #[serde(default)]
    lists: BTreeMap<List, Vec<Page>>,
    /// When the last of them came.
    #[serde(default)]
    at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Page {
    cursor: Option<String>,
    result: Value,
}

impl Answers {
    /// Takes note of an answer; whether that changes what is known.
    pub fn note(&mut self, question: &Question, result: Value, now: Timestamp) -> bool {
        self.at = Some(now);
        let changed = match question.topic {
            Topic::Hello => replace(&mut self.hello, result),
            Topic::Discover => replace(&mut self.discovered, result),
            Topic::List(list) => {
                let pages = self.lists.entry(list).or_default();
                note_page(pages, question.cursor.clone(), result)
            }
        };
        if changed && self.length() > MOST_BYTES {
            // Half of it would mislead.
            *self = Self::default();
        }
        changed
    }

    /// What is answered in the place of the server at `now`: the whole list at once, and marked
    /// with its age.
    pub fn answer(&self, topic: Topic, params: &Value, now: Timestamp) -> Option<Value> {
        let mut result = match topic {
            Topic::Hello => {
                let mut hello = self.hello.clone()?;
                hello["protocolVersion"] = revision(params).into();
                announce(&mut hello);
                hello
            }
            Topic::Discover => {
                let mut discovered = self.discovered.clone()?;
                announce(&mut discovered);
                discovered
            }
            Topic::List(list) => self.whole(list)?,
        };
        if topic == Topic::Discover || revision_of(params).is_some() {
            fleeting(&mut result);
        }
        let age = self.at.map_or(0, |at| now.since(at).as_secs());
        match result.get_mut("_meta") {
            Some(Value::Object(meta)) => drop(meta.insert(AGE.to_owned(), age.into())),
            _ => result["_meta"] = json!({ AGE: age }),
        }
        Some(result)
    }

    /// All pages of a list that are known, as one.
    fn whole(&self, list: List) -> Option<Value> {
        let pages = self.lists.get(&list)?;
        let first = pages.iter().find(|page| page.cursor.is_none())?;
        let mut whole = first.result.clone();
        let mut items = Vec::new();
        let mut next = Some(first);
        // Pages may lead in a circle.
        for _ in 0..MOST_PAGES {
            let Some(page) = next else { break };
            items.extend(page.result[list.member()].as_array()?.iter().cloned());
            next = page.result["nextCursor"].as_str().and_then(|cursor| {
                let of = |page: &&Page| page.cursor.as_deref() == Some(cursor);
                pages.iter().find(of)
            });
        }
        whole.as_object_mut()?.remove("nextCursor");
        whole[list.member()] = items.into();
        Some(whole)
    }

    fn length(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |text| text.len())
    }
}

/// What tells the age of an answer, in seconds.
const AGE: &str = "doorward/ageSeconds";

fn replace(known: &mut Option<Value>, result: Value) -> bool {
    let changed = known.as_ref() != Some(&result);
    *known = Some(result);
    changed
}

fn note_page(pages: &mut Vec<Page>, cursor: Option<String>, result: Value) -> bool {
    let known = pages.iter().position(|page| page.cursor == cursor);
    if known.is_some_and(|at| pages[at].result == result) {
        return false;
    }
    // Behind a first page that has changed there may be others.
    if cursor.is_none() {
        pages.clear();
    } else if let Some(at) = known {
        pages.remove(at);
    } else if pages.len() >= MOST_PAGES {
        return false;
    }
    pages.push(Page { cursor, result });
    true
}

/// Says that lists will change, since they do when the server is there.
fn announce(result: &mut Value) {
    for list in ["tools", "prompts", "resources"] {
        if let Some(Value::Object(list)) = result["capabilities"].get_mut(list) {
            list.insert("listChanged".to_owned(), true.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn page(cursor: Option<&str>) -> Question {
        Question {
            topic: Topic::List(List::Tools),
            id: 1.into(),
            cursor: cursor.map(str::to_owned),
        }
    }

    fn tools(names: &[&str], next: Option<&str>) -> Value {
        let tools: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        let mut result = json!({ "tools": tools });
        if let Some(next) = next {
            result["nextCursor"] = next.into();
        }
        result
    }

    #[test]
    fn only_handshakes_and_lists_are_questions() {
        let of = |body: &str| Question::of(body.as_bytes()).map(|one| one.topic);
        assert_eq!(
            of(r#"{"id":0,"method" : "initialize"}"#),
            Some(Topic::Hello)
        );
        assert_eq!(
            of(r#"{"method":"resources/templates/list","id":"a"}"#),
            Some(Topic::List(List::Templates))
        );
        let next = Question::of(br#"{"id":1,"method":"tools/list","params":{"cursor":"c"}}"#);
        assert_eq!(next.and_then(|one| one.cursor).as_deref(), Some("c"));
        for other in [
            r#"{"id":0,"method":"tools/call","params":{"method":"tools/list"}}"#,
            r#"{"method":"tools/list"}"#,
            r#"[{"id":0,"method":"tools/list"}]"#,
            r#"{"id":0,"method":"tools/list""#,
            r#"{"id":0,"result":{}}"#,
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_result_is_found_in_json_and_in_events() {
        let text = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
        let result = Some(json!({"tools": []}));
        assert_eq!(result_of(&1.into(), text.as_bytes(), false), result);
        assert_eq!(result_of(&"1".into(), text.as_bytes(), false), None);
        let events = format!("data: {{\"method\":\"x\"}}\n\nid: 1\ndata: {text}\n\n");
        assert_eq!(result_of(&1.into(), events.as_bytes(), true), result);
        let part = &events.as_bytes()[..events.len() - 1];
        assert_eq!(result_of(&1.into(), part, true), None);
        let error = br#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#;
        assert_eq!(result_of(&1.into(), error, false), None);
    }

    #[test]
    fn px_cache_scope_rules_what_waits_for_a_person_or_was_asked_again_is_not_remembered() {
        let answer = |kind: &str| {
            let result = json!({"resultType": kind, "tools": []});
            json!({"id": 1, "result": result}).to_string()
        };
        let read = |kind: &str| result_of(&1.into(), answer(kind).as_bytes(), false);
        assert!(read("complete").is_some());
        assert_eq!(read("input_required"), None);

        let asked = |params: Value| {
            let body = json!({"id": 1, "method": "tools/list", "params": params});
            Question::of(body.to_string().as_bytes())
        };
        assert!(asked(json!({"_meta": {}})).is_some());
        assert_eq!(asked(json!({"requestState": "s"})), None);
        assert_eq!(asked(json!({"inputResponses": {}})), None);
    }

    #[test]
    fn pages_are_told_as_one_list_with_its_age() {
        let mut answers = Answers::default();
        assert!(answers.note(&page(None), tools(&["a"], Some("2")), now(1)));
        assert!(answers.note(&page(Some("2")), tools(&["b"], Some("3")), now(2)));
        assert!(!answers.note(&page(None), tools(&["a"], Some("2")), now(3)));
        let told = answers.answer(Topic::List(List::Tools), &Value::Null, now(63));
        assert_eq!(
            told,
            Some(json!({
                "tools": [{"name": "a"}, {"name": "b"}],
                "_meta": {"doorward/ageSeconds": 60},
            }))
        );
        assert!(answers.note(&page(None), tools(&["c"], None), now(4)));
        let told = answers.answer(Topic::List(List::Tools), &Value::Null, now(4));
        assert_eq!(told.expect("a list")["tools"], json!([{"name": "c"}]));
        let none = answers.answer(Topic::List(List::Prompts), &Value::Null, now(4));
        assert_eq!(none, None);
    }

    #[test]
    fn a_handshake_is_told_in_the_revision_that_is_asked_for() {
        let mut answers = Answers::default();
        let hello = Question {
            topic: Topic::Hello,
            ..page(None)
        };
        let said = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "real"}});
        answers.note(&hello, said, now(1));
        let params = json!({"protocolVersion": "2025-11-25"});
        let told = answers.answer(Topic::Hello, &params, now(1)).expect("one");
        assert_eq!(told["protocolVersion"], "2025-11-25");
        assert_eq!(told["serverInfo"]["name"], "real");
        assert_eq!(
            told["capabilities"],
            json!({"tools": {"listChanged": true}})
        );
        let kept = serde_json::to_value(&answers).expect("JSON");
        let again: Answers = serde_json::from_value(kept).expect("answers");
        assert_eq!(again, answers);
    }

    proptest! {
        // Each step writes a megabyte.
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn what_is_kept_is_bounded_and_every_list_ends(
            steps in proptest::collection::vec((0_u8..100, 0_u8..100, 0_usize..128), 0..30),
        ) {
            let mut answers = Answers::default();
            for (cursor, next, size) in steps {
                let cursor = (cursor > 0).then(|| cursor.to_string());
                let text = "x".repeat(size << 10);
                let result = tools(&[&text], Some(&next.to_string()));
                answers.note(&page(cursor.as_deref()), result, now(1));
                prop_assert!(answers.length() <= MOST_BYTES);
                prop_assert!(answers.lists.values().all(|pages| pages.len() <= MOST_PAGES));
                if let Some(whole) = answers.whole(List::Tools) {
                    prop_assert!(whole.get("nextCursor").is_none());
                }
            }
        }
    }
}
