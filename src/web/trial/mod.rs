//! `upstream test`: one upstream account tried step by step, on the very path that agents use. It
//! opens an MCP session of its own and ends it, and never starts a sign-in.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::AgentState;
use super::routes::{Dialect, RouteAuth, RouteEntry};
use crate::api::{Step, StepResult, TestReport, Trouble};
use crate::ledger::Published;
use crate::model::catalogue::{Code, Problem};
use crate::model::fault::{CredentialError, LoginReason};
use crate::model::id::Generation;
use crate::model::time::{Timestamp, brief};
use crate::transport::HyperTransport;

mod exchange;
mod stream;

use exchange::{Reply, SESSION};

/// The revision that is asked for; the server may answer with another one.
const REVISION: &str = "2025-06-18";

/// Tries the account behind `route`.
pub(super) async fn trial(state: &Arc<AgentState>, route: &Arc<RouteEntry>) -> TestReport {
    let mut trial = Trial {
        state: Arc::clone(state),
        route: Arc::clone(route),
        transport: HyperTransport::new(),
        session: None,
        revision: None,
        steps: Vec::new(),
        problem: None,
    };
    let held = trial.sign_in().await;
    if route.spec.dialect == Dialect::Sse {
        trial.stream(held).await;
    } else if trial.initialize(held).await {
        trial.tools().await;
    } else {
        trial.skip("tools");
    }
    trial.leave().await;
    let account = route.account().to_string();
    let problem = trial.problem.map(|problem| Trouble::new(&problem, None));
    TestReport::new(account, trial.steps, problem)
}

/// What an answer to a request without a credential tells.
fn unasked(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => "not tried: it wants a sign-in, as it should".to_owned(),
        status if status.is_success() => {
            "not tried: it answers without a sign-in; auth = { kind = \"none\" } may do".to_owned()
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => {
            format!("not tried: no MCP server answers at this address ({status})")
        }
        status => format!("not tried: nobody is signed in, and it answered {status}"),
    }
}

struct Trial {
    state: Arc<AgentState>,
    route: Arc<RouteEntry>,
    transport: HyperTransport,
    /// The credential and the MCP session, once there are some.
    session: Option<(Option<Arc<Published>>, Option<HeaderValue>)>,
    revision: Option<HeaderValue>,
    steps: Vec<Step>,
    /// The first one is what the person has to solve first.
    problem: Option<Problem>,
}

/// How the request for a credential ended.
enum Held {
    Nothing,
    Token(Arc<Published>),
    Missing,
}

impl Trial {
    fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    fn step(&mut self, name: &str, result: StepResult, message: String, since: Instant) {
        let took = since.elapsed().as_millis();
        self.steps.push(Step {
            name: name.to_owned(),
            result,
            message,
            ms: u64::try_from(took).unwrap_or(u64::MAX),
        });
    }

    fn fail(&mut self, name: &str, problem: Problem, since: Instant) {
        let message = format!("{}: {}", problem.what(), problem.why());
        self.step(name, StepResult::Fail, message, since);
        self.problem.get_or_insert(problem);
    }

    fn skip(&mut self, name: &str) {
        self.step(
            name,
            StepResult::Skip,
            "not tried".to_owned(),
            Instant::now(),
        );
    }

    fn problem(&self, code: Code) -> Problem {
        Problem::new(code).with("upstream", self.route.account())
    }

    async fn obtain(
        &self,
        rejected: Option<Generation>,
    ) -> Result<Arc<Published>, CredentialError> {
        let held = self
            .state
            .source
            .ask(self.route.account(), rejected)
            .await?;
        if self.route.takes(&held) {
            return Ok(held);
        }
        Err(CredentialError::LoginRequired(LoginReason::Never))
    }

    async fn sign_in(&mut self) -> Held {
        let since = Instant::now();
        if self.route.spec.auth != RouteAuth::Injected {
            let none = "no sign-in is configured".to_owned();
            self.step("sign-in", StepResult::Ok, none, since);
            return Held::Nothing;
        }
        match self.obtain(None).await {
            Ok(held) => {
                let now = self.now();
                let life = held.expires.map_or("without an end".to_owned(), |end| {
                    format!("for {}", brief(end.since(now), 2))
                });
                let message = format!("signed in, the token is good {life}");
                self.step("sign-in", StepResult::Ok, message, since);
                Held::Token(held)
            }
            Err(error) => {
                let problem = Problem::of_credential(self.route.account(), &error, self.now());
                self.fail("sign-in", problem, since);
                Held::Missing
            }
        }
    }

    /// The connection and the handshake; whether there is a session to go on with.
    async fn initialize(&mut self, held: Held) -> bool {
        let since = Instant::now();
        let hello = json!({
            "protocolVersion": REVISION, "capabilities": {},
            "clientInfo": { "name": "doorward", "version": env!("CARGO_PKG_VERSION") },
        });
        let mut token = match &held {
            Held::Token(held) => Some(Arc::clone(held)),
            Held::Nothing | Held::Missing => None,
        };
        let mut reply = self.ask("initialize", &hello, token.as_deref()).await;
        let first_took = Instant::now();
        if let (Ok(Reply { status, .. }), Some(used)) = (&reply, &token) {
            if *status == StatusCode::UNAUTHORIZED {
                // As for agents: a definite 401 is worth one newer token.
                match self.obtain(Some(used.generation)).await {
                    Ok(newer) => {
                        reply = self.ask("initialize", &hello, Some(&newer)).await;
                        token = Some(newer);
                    }
                    Err(error) => {
                        self.step("connection", StepResult::Ok, self.place(), since);
                        let problem =
                            Problem::of_credential(self.route.account(), &error, self.now());
                        self.fail("initialize", problem, first_took);
                        return false;
                    }
                }
            } else {
                self.route.slot.mark_accepted(used.generation);
            }
        }
        let reply = match reply {
            Ok(reply) => reply,
            Err(problem) => {
                self.route.slot.failed(problem.clone(), self.now());
                // Nobody can sign in to what cannot be reached, so this comes before that.
                self.problem = None;
                self.fail("connection", problem, since);
                self.skip("initialize");
                return false;
            }
        };
        self.route.slot.answered();
        self.step("connection", StepResult::Ok, self.place(), since);
        if matches!(held, Held::Missing) {
            let older = self.is_older(&reply).await;
            if let Some(problem) = older {
                self.problem = None;
                self.fail("initialize", problem, since);
                return false;
            }
            let wants = unasked(reply.status);
            self.step("initialize", StepResult::Skip, wants, first_took);
            return false;
        }
        match self.greeted(&reply) {
            Ok(message) => {
                self.session = Some((token.clone(), reply.headers.get(SESSION).cloned()));
                self.step("initialize", StepResult::Ok, message, since);
                let _ = self.notify("notifications/initialized").await;
                true
            }
            Err(problem) => {
                let problem = self.is_older(&reply).await.unwrap_or(problem);
                self.fail("initialize", problem, since);
                false
            }
        }
    }

    fn place(&self) -> String {
        let origin = &self.route.peer.origin;
        let scheme = if origin.secure { "https" } else { "http" };
        format!("{scheme}://{}", origin.authority)
    }

    /// Who answered `initialize`.
    fn greeted(&mut self, reply: &Reply) -> Result<String, Problem> {
        let result = self.result("initialize", reply)?;
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let (server, revision) = (&result["serverInfo"], text(&result["protocolVersion"]));
        self.revision = HeaderValue::from_str(&revision).ok();
        let (name, version) = (text(&server["name"]), text(&server["version"]));
        Ok(format!("{name} {version}, protocol {revision}"))
    }

    async fn tools(&mut self) {
        let since = Instant::now();
        let reply = self.follow("tools/list", &json!({})).await;
        let result = match &reply {
            Ok(reply) => self.result("tools/list", reply),
            Err(problem) => Err(problem.clone()),
        };
        match result {
            Ok(result) => {
                let more = if result["nextCursor"].is_string() {
                    " on the first page"
                } else {
                    ""
                };
                let count = result["tools"].as_array().map_or(0, Vec::len);
                let message = format!("{count} tools{more}");
                self.step("tools", StepResult::Ok, message, since);
            }
            Err(_) if reply.as_ref().is_ok_and(Reply::has_no_such_method) => {
                let message = "it offers no tools".to_owned();
                self.step("tools", StepResult::Warn, message, since);
            }
            Err(problem) => self.fail("tools", problem, since),
        }
    }

    /// The result in `reply`, or what is wrong with it.
    fn result(&self, method: &str, reply: &Reply) -> Result<Value, Problem> {
        if let Some(result) = reply.message.as_ref().and_then(|m| m.get("result")) {
            return Ok(result.clone());
        }
        let said = reply.message.as_ref().map_or(String::new(), |message| {
            let text = message["error"]["message"].as_str();
            text.map_or(String::new(), |text| format!(": {text}"))
        });
        let status = reply.status;
        let detail = format!("it answered {method} with {status}{said}");
        Err(match status {
            StatusCode::UNAUTHORIZED if self.route.spec.auth == RouteAuth::None => self
                .problem(Code::UpstreamRejected)
                .because("it wants a credential, and none is configured")
                .next_step("set `auth` of this upstream in the config"),
            StatusCode::UNAUTHORIZED => self.problem(Code::UpstreamRejected).with("detail", detail),
            StatusCode::FORBIDDEN => self.problem(Code::UpstreamForbidden).because(detail),
            _ => self.problem(Code::UpstreamUnreachable).because(detail),
        })
    }
}
