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
            "method": "notifications/subscriptions/acknowledged",
            "params": {
                "notifications": self.filter.as_object().cloned().unwrap_or_default(),
                "_meta": { SUBSCRIPTION: self.id },
            },
        })
    }

    /// What it is told when the server is there: of the lists that it asked about, that they have
    /// changed.
    pub fn news(&self) -> Vec<Value> {
        let asked = |(filter, _): &(&str, &str)| self.filter[*filter] == true;
        let all = FILTERS.into_iter().zip(ANNOUNCEMENTS);
        all.filter(asked)
            .filter_map(|(_, text)| serde_json::from_str::<Value>(text).ok())
            .map(|mut message| {
                message["params"] = json!({ "_meta": { SUBSCRIPTION: self.id } });
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
        let filter = json!({"toolsListChanged": true, "promptsListChanged": false});
        let wish = json!({
            "id": "l", "method": "subscriptions/listen", "params": {"notifications": filter},
        });
        let wish = Listening::of(&Wants::of(wish).expect("a message"));
        let first = wish.acknowledged();
        assert_eq!(first["params"]["notifications"], filter);
        assert_eq!(first["params"]["_meta"][SUBSCRIPTION], "l");
        let news = wish.news();
        assert_eq!(news.len(), 1);
        assert_eq!(news[0]["method"], "notifications/tools/list_changed");
        assert_eq!(news[0]["params"]["_meta"][SUBSCRIPTION], "l");
    }
}
