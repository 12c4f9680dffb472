//! `upstream test`: one upstream account tried step by step, on the very path that agents use. It
//! opens an MCP session of its own and ends it, and never starts a sign-in.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::{Value, json};

use super::AgentState;
use super::proxy::transport_problem;
use super::routes::{RouteAuth, RouteEntry};
use crate::api::{Step, StepResult, TestReport, Trouble};
use crate::ledger::Published;
use crate::model::catalogue::{Code, Problem};
use crate::model::fault::{CredentialError, LoginReason};
use crate::model::id::Generation;
use crate::model::time::{Timestamp, brief};
use crate::transport::{Call, Connection, HyperTransport, RequestBody, UpstreamTransport};

/// The revision that is asked for; the server may answer with another one.
const REVISION: &str = "2025-06-18";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// How long one step may take beyond the limits of the upstream's own configuration.
const PATIENCE: Duration = Duration::from_secs(20);
/// At most this much of an answer is read.
const LONGEST: usize = 8 << 20;

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
    if trial.initialize(held).await {
        trial.tools().await;
    } else {
        trial.skip("tools");
    }
    trial.leave().await;
    let account = route.account().to_string();
    let problem = trial.problem.map(|problem| Trouble::new(&problem, None));
    TestReport::new(account, trial.steps, problem)
}

struct Trial {
    state: Arc<AgentState>,
    route: Arc<RouteEntry>,
    transport: HyperTransport,
    /// The credential and the MCP session, once there are some.
    session: Option<(Option<HeaderValue>, Option<HeaderValue>)>,
    revision: Option<HeaderValue>,
    steps: Vec<Step>,
    /// The first one is what the person has to solve first.
    problem: Option<Problem>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    message: Option<Value>,
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

    fn step(&mut self, name: &str, result: StepResult, message: String, since: Timestamp) {
        let took = self.now().since(since).as_millis();
        self.steps.push(Step {
            name: name.to_owned(),
            result,
            message,
            ms: u64::try_from(took).unwrap_or(u64::MAX),
        });
    }

    fn fail(&mut self, name: &str, problem: Problem, since: Timestamp) {
        let message = format!("{}: {}", problem.what(), problem.why());
        self.step(name, StepResult::Fail, message, since);
        self.problem.get_or_insert(problem);
    }

    fn skip(&mut self, name: &str) {
        let now = self.now();
        self.step(name, StepResult::Skip, "not tried".to_owned(), now);
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
        let since = self.now();
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
                let problem = Problem::of_credential(self.route.account(), &error, since);
                self.fail("sign-in", problem, since);
                Held::Missing
            }
        }
    }

    /// The connection and the handshake; whether there is a session to go on with.
    async fn initialize(&mut self, held: Held) -> bool {
        let since = self.now();
        let hello = json!({
            "protocolVersion": REVISION, "capabilities": {},
            "clientInfo": { "name": "doorward", "version": env!("CARGO_PKG_VERSION") },
        });
        let mut token = match &held {
            Held::Token(held) => Some(Arc::clone(held)),
            Held::Nothing | Held::Missing => None,
        };
        let mut reply = self.ask("initialize", &hello, token.as_deref()).await;
        let first_took = self.now();
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
                        let problem = Problem::of_credential(self.route.account(), &error, since);
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
                // Nobody can sign in to what cannot be reached, so this comes before that.
                self.problem = None;
                self.fail("connection", problem, since);
                self.skip("initialize");
                return false;
            }
        };
        self.step("connection", StepResult::Ok, self.place(), since);
        if matches!(held, Held::Missing) {
            let wants = match reply.status {
                StatusCode::UNAUTHORIZED => "not tried: it wants a sign-in, as it should",
                _ => "not tried: nobody is signed in",
            };
            self.step("initialize", StepResult::Skip, wants.to_owned(), first_took);
            return false;
        }
        match self.greeted(&reply) {
            Ok(message) => {
                let sent = token.as_ref().and_then(|token| token.header.clone());
                self.session = Some((sent, reply.headers.get(SESSION).cloned()));
                self.step("initialize", StepResult::Ok, message, since);
                let _ = self.notify("notifications/initialized").await;
                true
            }
            Err(problem) => {
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
        let since = self.now();
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

    async fn ask(
        &self,
        method: &str,
        params: &Value,
        held: Option<&Published>,
    ) -> Result<Reply, Problem> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let proof = held.and_then(|held| held.header.clone());
        self.send(Method::POST, Some(&message), proof, None).await
    }

    async fn follow(&self, method: &str, params: &Value) -> Result<Reply, Problem> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (proof, session) = self.session.clone().unwrap_or_default();
        self.send(Method::POST, Some(&message), proof, session)
            .await
    }

    async fn notify(&self, method: &str) -> Result<Reply, Problem> {
        let message = json!({ "jsonrpc": "2.0", "method": method });
        let (proof, session) = self.session.clone().unwrap_or_default();
        self.send(Method::POST, Some(&message), proof, session)
            .await
    }

    /// Ends the MCP session; servers may refuse that, which nobody has to know.
    async fn leave(&self) {
        if let Some((proof, Some(session))) = self.session.clone() {
            let _ = self.send(Method::DELETE, None, proof, Some(session)).await;
        }
    }

    async fn send(
        &self,
        method: Method,
        message: Option<&Value>,
        proof: Option<HeaderValue>,
        session: Option<HeaderValue>,
    ) -> Result<Reply, Problem> {
        let (route, spec) = (&self.route, &self.route.spec);
        let target = route.base.target("", None, false);
        let target = target.expect("the configured URL itself leads nowhere else");
        let body = message.map_or_else(Bytes::new, |message| message.to_string().into());
        let mut request = Request::new(RequestBody::whole(body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(target);
        let headers = request.headers_mut();
        let ours = concat!("doorward/", env!("CARGO_PKG_VERSION"));
        let both = "application/json, text/event-stream";
        headers.insert(HOST, route.host.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(ours));
        headers.insert(ACCEPT, HeaderValue::from_static(both));
        if message.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.extend(session.map(|session| (SESSION, session)));
        headers.extend(self.revision.clone().map(|revision| (VERSION, revision)));
        for (name, value) in &spec.fields {
            headers.insert(name.clone(), value.clone());
        }
        if spec.auth == RouteAuth::Injected {
            headers.remove(AUTHORIZATION);
            headers.extend(proof.map(|proof| (spec.header.clone(), proof)));
        }
        let call = Call {
            peer: &route.peer,
            request,
            limits: spec.limits,
            connection: Connection::New,
        };
        let failed = |error| transport_problem(route, LONGEST as u64, error);
        let response = self.transport.send(call).await.map_err(failed)?;
        let (head, mut body) = response.into_parts();
        let events = head.headers.get(CONTENT_TYPE).is_some_and(is_events);
        let mut read = BytesMut::new();
        let reading = async {
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else {
                    return Err(self.problem(Code::ConnectionLost));
                };
                if read.len() + chunk.len() > LONGEST {
                    let why = "its answer is longer than any that makes sense";
                    return Err(self.problem(Code::UpstreamUnreachable).because(why));
                }
                read.extend_from_slice(&chunk);
                // A server may leave the stream open after the answer.
                if events && answer_in(&read).is_some() {
                    break;
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .map_err(|_| {
                let within = humantime::format_duration(PATIENCE);
                self.problem(Code::UpstreamTimeout)
                    .because(format!("its answer did not end within {within}"))
            })??;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            message: if events {
                answer_in(&read)
            } else {
                serde_json::from_slice(&read).ok()
            },
        })
    }
}

impl Reply {
    fn has_no_such_method(&self) -> bool {
        let code = self
            .message
            .as_ref()
            .map(|message| &message["error"]["code"]);
        code.is_some_and(|code| *code == -32601)
    }
}

fn is_events(value: &HeaderValue) -> bool {
    let kind = value.as_bytes().get(..17);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

/// The answer to request 1 among the events that came so far.
fn answer_in(stream: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(stream)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let (whole, _) = text.rsplit_once("\n\n")?;
    whole.split("\n\n").find_map(|event| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        let data: Vec<_> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        let message: Value = serde_json::from_str(&data.join("\n")).ok()?;
        (message["id"] == 1).then_some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_among_events() {
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
        for stream in [
            "id: 0\ndata:\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
            ": hello\r\n\r\ndata:{\"jsonrpc\":\"2.0\",\r\ndata: \"id\":1,\"result\":{}}\r\n\r\nid: 9\r\n",
            "data: {\"method\":\"notifications/message\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\ndata: {",
        ] {
            assert_eq!(
                answer_in(stream.as_bytes()),
                Some(answer.clone()),
                "{stream:?}"
            );
        }
        for part in [
            "",
            "data: {\"id\":1}",
            "data: {\"id\":1}\n",
            "data: {\"id\":2}\n\n",
        ] {
            assert_eq!(answer_in(part.as_bytes()), None, "{part:?}");
        }
    }
}
