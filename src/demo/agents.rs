//! The agents: each has one header that it never changes, and calls a tool over and over.

use std::rc::Rc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Value, json};
use url::Url;

use super::clerk::Clerk;
use super::guest::Guest;
use super::score::{Count, Tally};
use super::{SESSIONS, failed};
use crate::ctl::Fault;
use crate::http::{OwnClient, Reach, Request};

/// What an agent thinks for between two calls.
const PAUSE: Duration = Duration::from_millis(25);

/// All agents.
pub(super) struct Team(Vec<JoinHandle<()>>);

impl Team {
    /// Eight that have a session of doorward each, and one that has a token of the server's own.
    pub(super) async fn hire(
        client: &OwnClient,
        daemon: &Guest,
        server: &Url,
        clerk: &Clerk,
        tally: &Rc<Tally>,
    ) -> Result<Self, Fault> {
        let local = Url::parse(&daemon.url).map_err(|e| failed("no local address", e))?;
        let mut all = Vec::new();
        for number in 1..=SESSIONS {
            let bearer = daemon.mint(format!("agent-{number}")).await?;
            let agent = Agent::new(client, &local, bearer);
            let tally = Rc::clone(tally);
            all.push(actix_rt::spawn(async move {
                agent.work(|| &tally.sessions).await;
            }));
        }
        let own = HeaderValue::from_str(&format!("Bearer {}", clerk.grant().access))
            .map_err(|e| failed("no token", e))?;
        let bare = Agent::new(client, server, own);
        let tally = Rc::clone(tally);
        all.push(actix_rt::spawn(async move {
            bare.work(|| &tally.bare).await;
        }));
        Ok(Self(all))
    }

    /// Sends them home.
    pub(super) fn stop(self) {
        for agent in self.0 {
            agent.abort();
        }
    }
}

struct Agent {
    client: OwnClient,
    url: Url,
    bearer: HeaderValue,
}

impl Agent {
    fn new(client: &OwnClient, url: &Url, bearer: HeaderValue) -> Self {
        Self {
            client: client.clone(),
            url: url.clone(),
            bearer,
        }
    }

    async fn work<'c>(&self, count: impl Fn() -> &'c Count) {
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "doorward-demo", "version": env!("CARGO_PKG_VERSION") },
        });
        let greeted = self.call("initialize", &hello).await.is_some();
        count().add(greeted);
        for number in 0_u64.. {
            let text = format!("call {number}");
            let asked = json!({ "name": "echo", "arguments": { "text": text } });
            let answer = self.call("tools/call", &asked).await;
            let said = answer.is_some_and(|result| result["content"][0]["text"] == *text);
            count().add(said);
            actix_rt::time::sleep(PAUSE).await;
        }
    }

    /// The result of a JSON-RPC request, if there was one.
    async fn call(&self, method: &str, params: &Value) -> Option<Value> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let both = HeaderValue::from_static("application/json, text/event-stream");
        let request = Request::post_json(self.url.clone(), &message)
            .header(AUTHORIZATION, self.bearer.clone())
            .header(ACCEPT, both)
            .reach(Reach::ANYWHERE);
        let answer = self.client.send(request).await.ok()?;
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        (answer.status == 200).then(|| body.get("result").cloned())?
    }
}
