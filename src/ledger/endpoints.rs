//! Where the streams of the HTTP+SSE transport (MCP 2024-11-05) are posted to upstream, by the
//! name that their agents were told. A name lives as long as this daemon, as the streams do, and
//! until a few thousand others have come after it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use http::uri::PathAndQuery;

use crate::model::id::{AccountRef, SessionId};
use crate::model::mcp::Epoch;

/// Names that are kept.
const MOST: usize = 4096;

/// Where a stream is posted to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Of which upstream account the stream is.
    pub account: AccountRef,
    /// Whose stream it is; `None` for agents without a session, where none is required.
    pub by: Option<SessionId>,
    /// Under which sign-in it was opened; `None` where the daemon signs in nobody.
    pub under: Option<Epoch>,
    /// What it is called upstream.
    pub target: PathAndQuery,
}

/// Endpoints by their names.
#[derive(Default)]
pub struct Endpoints {
    named: DashMap<String, Endpoint>,
    order: Mutex<VecDeque<String>>,
}

impl Endpoints {
    /// Keeps `endpoint` under `name`, which nobody can guess.
    pub fn name(&self, name: String, endpoint: Endpoint) {
        let oldest = {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.push_back(name.clone());
            (order.len() > MOST).then(|| order.pop_front()).flatten()
        };
        self.named.insert(name, endpoint);
        if let Some(oldest) = oldest {
            self.named.remove(&oldest);
        }
    }

    /// The endpoint called `name`.
    pub fn find(&self, name: &str) -> Option<Endpoint> {
        self.named.get(name).map(|found| found.value().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_names_go_first() {
        let endpoints = Endpoints::default();
        let one = Endpoint {
            account: "ev".parse().expect("a name"),
            by: None,
            under: None,
            target: PathAndQuery::from_static("/m"),
        };
        for number in 0..=MOST {
            endpoints.name(number.to_string(), one.clone());
        }
        assert!(endpoints.find("0").is_none());
        assert!(endpoints.find("1").is_some());
        assert!(endpoints.find(&MOST.to_string()).is_some());
    }
}
