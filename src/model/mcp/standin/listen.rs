//! `subscriptions/listen`, by which agents of the stateless revisions hear of changes (MCP
//! 2026-07-28, Subscriptions), while the server cannot be asked.

use serde_json::{Value, json};

use super::{ANNOUNCEMENTS, Wants};

/// Where a notification names the subscription that it is for.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// What can be asked for, in the order of [`ANNOUNCEMENTS`].
const FILTERS: [&str; 3] = [
    "toolsListChanged",
    "promptsListChanged",
    "resourcesListChanged",
];

/// Where resources are asked for, by their addresses.
const RESOURCES: &str = "resourceSubscriptions";
/// What says what a subscription will hear of.
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Whether `message` is what a server begins a subscription with (2026-07-28, basic, subscriptions:
/// once, and before anything else).
pub fn is_acknowledgement(message: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(message).unwrap_or_default();
    message["method"] == ACKNOWLEDGED
}

/// What an agent wants to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Listening {
    /// The id of its request, which is the subscription's.
    id: Value,
    filter: Value,
}

impl Listening {
    /// What `one` asks for.
    pub fn of(one: &Wants) -> Self {
        Self {
            id: one.id.clone(),
            filter: one.params["notifications"].clone(),
        }
    }

    /// What it is told first: what it will hear of.
    pub fn acknowledged(&self) -> Value {
        json!({
            "jsonrpc": "2.0",
            "method": ACKNOWLEDGED,
            "params": {
                "notifications": self.filter.as_object().cloned().unwrap_or_default(),
                "_meta": { SUBSCRIPTION: self.id },
            },
        })
    }

    /// What it is told when the server is there again: of the lists and resources that it asked
    /// about, that they have changed. Nobody knows whether they have; whoever reads them again does.
    pub fn news(&self) -> Vec<Value> {
        let asked = |(filter, _): &(&str, &str)| self.filter[*filter] == true;
        let lists = FILTERS.into_iter().zip(ANNOUNCEMENTS).filter(asked);
        let lists = lists.filter_map(|(_, text)| serde_json::from_str::<Value>(text).ok());
        let resources = self.filter[RESOURCES].as_array().into_iter().flatten();
        let resources = resources.filter(|uri| uri.is_string()).map(|uri| {
            let method = "notifications/resources/updated";
            json!({ "jsonrpc": "2.0", "method": method, "params": { "uri": uri } })
        });
        lists
            .chain(resources)
            .map(|mut message| {
                message["params"]["_meta"] = json!({ SUBSCRIPTION: self.id });
                message
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_hears_of_what_it_asked_for_under_its_own_id() {
        let filter = json!({
            "toolsListChanged": true, "promptsListChanged": false,
            "resourceSubscriptions": ["a://1"],
        });
        let wish = json!({
            "id": "l", "method": "subscriptions/listen", "params": {"notifications": filter},
        });
        let wish = Listening::of(&Wants::of(wish).expect("a message"));
        let first = wish.acknowledged();
        assert_eq!(first["params"]["notifications"], filter);
        assert_eq!(first["params"]["_meta"][SUBSCRIPTION], "l");
        let news = wish.news();
        let methods: Vec<_> = news.iter().map(|one| &one["method"]).collect();
        assert_eq!(
            methods,
            [
                "notifications/tools/list_changed",
                "notifications/resources/updated"
            ]
        );
        assert_eq!(news[1]["params"]["uri"], "a://1");
        for one in &news {
            assert_eq!(one["params"]["_meta"][SUBSCRIPTION], "l");
            assert!(!is_acknowledgement(one.to_string().as_bytes()));
        }
        assert!(is_acknowledgement(first.to_string().as_bytes()));
        assert!(!is_acknowledgement(b"x"));
    }
}
