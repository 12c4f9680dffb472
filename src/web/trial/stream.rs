//! Trying a server of the HTTP+SSE transport (MCP 2024-11-05): its stream has to begin with its
//! endpoint. Also how one is recognised that is taken for a server of the newer transport.

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{Held, Reply, StepResult, Trial};
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::First;

impl Trial {
    /// The connection and the beginning of a stream.
    pub(super) async fn stream(&mut self, held: Held) {
        let since = Instant::now();
        let token = match &held {
            Held::Token(held) => Some(&**held),
            Held::Nothing | Held::Missing => None,
        };
        let reply = match self.send(Method::GET, None, token, None).await {
            Ok(reply) => reply,
            Err(problem) => {
                // Nobody can sign in to what cannot be reached, so this comes before that.
                self.problem = None;
                self.route.slot.failed(problem.clone(), self.now());
                self.fail("connection", problem, since);
                self.skip("stream");
                return;
            }
        };
        self.route.slot.answered();
        self.step("connection", StepResult::Ok, self.place(), since);
        if matches!(held, Held::Missing) {
            let wants = super::unasked(reply.status);
            self.step("stream", StepResult::Skip, wants, since);
        } else if begins(&reply) {
            let found = "HTTP+SSE: its stream begins with its endpoint".to_owned();
            self.step("stream", StepResult::Ok, found, since);
        } else {
            let why = format!(
                "it answered {} and no stream with an endpoint",
                reply.status
            );
            let problem = self.problem(Code::UpstreamUnreachable).because(why);
            self.fail("stream", problem, since);
        }
    }

    /// What is wrong where `reply` to a POST is that of a server which knows only the older
    /// transport (MCP 2025-11-25 transports, Backwards Compatibility).
    pub(super) async fn is_older(&self, reply: &Reply) -> Option<Problem> {
        if !matches!(
            reply.status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        ) {
            return None;
        }
        let asked = self.send(Method::GET, None, None, None).await.ok()?;
        // One that is asked without a credential tells by what it takes at all.
        let gets_only = reply.status == StatusCode::METHOD_NOT_ALLOWED
            && asked.status == StatusCode::UNAUTHORIZED;
        (begins(&asked) || gets_only).then(|| {
            self.problem(Code::UpstreamUnreachable)
                .because("it speaks the HTTP+SSE transport of MCP 2024-11-05")
                .next_step("set `transport = \"sse\"` of this upstream in the config")
        })
    }
}

fn begins(reply: &Reply) -> bool {
    reply.status == StatusCode::OK && matches!(reply.first, First::Endpoint { .. })
}
