//! The way from one message to its answer: find the daemon, send, and deal with what a daemon that
//! restarts, a server that lost its session or a stream that breaks leave undone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use super::events::Events;
use super::message::{Message, one_line};
use super::wire::{self, NoAnswer};
use super::{Daemon, Options};
use crate::api::{self, Mint, Minted};
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};
use crate::model::record::SessionOrigin;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The first pause before the daemon is looked for again, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long a message waits for a daemon that is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a stream is taken up again without anything new on it.
const RESUMPTIONS: u32 = 5;
/// The longest message.
pub(super) const LONGEST: usize = 64 << 20;

/// What the bridge knows of the conversation.
#[derive(Default)]
struct Conversation {
    /// `initialize` as the agent sent it, for a server that has forgotten it.
    hello: Option<Message>,
    session: Option<HeaderValue>,
    revision: Option<HeaderValue>,
    last_event: Option<String>,
}

/// Everything that the tasks of a bridge share.
pub(super) struct Link {
    daemon: Rc<dyn Daemon>,
    options: Options,
    base: RefCell<Option<String>>,
    credential: RefCell<Option<(String, HeaderValue)>>,
    minting: tokio::sync::Mutex<()>,
    talk: RefCell<Conversation>,
    greeting: tokio::sync::Mutex<()>,
    epoch: Cell<u64>,
    out: UnboundedSender<Bytes>,
}

/// How one exchange ended.
enum End {
    /// Its answer, if it wanted one, is on its way to the agent.
    Answered,
    /// The server does not know the session.
    Forgotten,
}

impl Link {
    pub(super) fn new(
        daemon: Rc<dyn Daemon>,
        options: Options,
        out: UnboundedSender<Bytes>,
    ) -> Self {
        Self {
            daemon,
            options,
            base: RefCell::default(),
            credential: RefCell::default(),
            minting: tokio::sync::Mutex::default(),
            talk: RefCell::default(),
            greeting: tokio::sync::Mutex::default(),
            epoch: Cell::new(0),
            out,
        }
    }

    /// Finds the daemon and mints the session of this bridge.
    pub(super) async fn prepare(&self) -> Result<(), Fault> {
        self.base(true).await?;
        self.credential().await.map(|_| ())
    }

    /// Carries one message, whatever it takes, and sees to it that a request is answered.
    pub(super) async fn carry(&self, message: Message) {
        if message.is("initialize") {
            *self.talk.borrow_mut() = Conversation {
                hello: Some(message.clone()),
                ..Conversation::default()
            };
        }
        let problem = match self.exchange(&message).await {
            Ok(End::Answered) => return,
            Ok(End::Forgotten) => match self.greet_again().await {
                // What a server does not know the session of, it has not carried out.
                Ok(()) => match self.exchange(&message).await {
                    Ok(End::Answered) => return,
                    Ok(End::Forgotten) => self.problem(Code::ConnectionLost),
                    Err(problem) => problem,
                },
                Err(problem) => problem,
            },
            Err(problem) => problem,
        };
        if let Some(line) = message.failed(&problem) {
            self.tell(line);
        }
    }

    fn tell(&self, line: Bytes) {
        // Nobody listens only when the agent has gone.
        let _ = self.out.send(line);
    }

    fn problem(&self, code: Code) -> Problem {
        Problem::new(code).with("upstream", &self.options.upstream)
    }

    /// The address of the daemon.
    async fn base(&self, may_start: bool) -> Result<String, Fault> {
        if let Some(base) = &*self.base.borrow() {
            return Ok(base.clone());
        }
        let may_start = may_start && self.options.autostart;
        let found = self.daemon.find(may_start).await?;
        let authority = found.trim_start_matches("http://").to_owned();
        *self.base.borrow_mut() = Some(authority.clone());
        Ok(authority)
    }

    /// The credential of this bridge; minted once, since a revoked one must stay so.
    async fn credential(&self) -> Result<HeaderValue, Fault> {
        let _turn = self.minting.lock().await;
        if let Some((_, credential)) = &*self.credential.borrow() {
            return Ok(credential.clone());
        }
        let asked = Mint {
            upstreams: vec![self.options.upstream.clone()],
            label: self.options.label.clone(),
            client: None,
            ttl_s: None,
            idle_s: None,
            bind_pid: Some(std::process::id()),
            origin: SessionOrigin::Bridge,
        };
        let control = self.daemon.control();
        let minted: Minted = control.post(api::path::SESSIONS, &asked).await?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", minted.credential));
        let mut bearer = bearer
            .map_err(|error| Fault::from(Problem::new(Code::Internal).with("detail", error)))?;
        bearer.set_sensitive(true);
        *self.credential.borrow_mut() = Some((minted.session.id, bearer.clone()));
        Ok(bearer)
    }

    /// Ends the MCP session and the session of this bridge.
    pub(super) async fn leave(&self) {
        if self.talk.borrow().session.is_some() {
            let _ = self.send(Method::DELETE, None, None).await;
        }
        let minted = self.credential.borrow_mut().take();
        if let Some((id, _)) = minted {
            let revoke = api::Revoke {
                filter: api::RevokeFilter {
                    ids: vec![id],
                    ..api::RevokeFilter::default()
                },
                reason: Some("its bridge ended".to_owned()),
            };
            let control = self.daemon.control();
            let _: Result<api::Revoked, _> = control.post(api::path::REVOKE, &revoke).await;
        }
    }

    /// One attempt, or several where a daemon that is away was not sent anything.
    async fn exchange(&self, message: &Message) -> Result<End, Problem> {
        let until = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            let lost = match self.send(Method::POST, Some(message), None).await {
                Ok(response) => match self.answer(message, response).await {
                    Ok(end) => return Ok(end),
                    Err(lost) => lost,
                },
                Err(problem) => problem,
            };
            let not_sent = lost.code() == Code::NotRunning;
            if Instant::now() >= until || !(not_sent || message.may_repeat()) {
                return Err(lost);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn send(
        &self,
        method: Method,
        message: Option<&Message>,
        last_event: Option<&str>,
    ) -> Result<Response<Incoming>, Problem> {
        let away = |fault: Fault| match fault {
            Fault::Problem(problem) => *problem,
            other => Problem::new(Code::NotRunning).because(other.to_string()),
        };
        let authority = self.base(message.is_some()).await.map_err(away)?;
        let credential = self.credential().await.map_err(away)?;
        let request = self.request(&authority, method, message, credential, last_event)?;
        match wire::send(&authority, request).await {
            Ok(response) => Ok(response),
            Err(NoAnswer::NotSent(why)) => {
                *self.base.borrow_mut() = None;
                Err(Problem::new(Code::NotRunning).because(why))
            }
            Err(NoAnswer::Lost(_)) => {
                *self.base.borrow_mut() = None;
                Err(self.problem(Code::ConnectionLost))
            }
        }
    }

    fn request(
        &self,
        authority: &str,
        method: Method,
        message: Option<&Message>,
        credential: HeaderValue,
        last_event: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, Problem> {
        let body = message.map_or_else(Bytes::new, |message| message.bytes.clone());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let path = format!("/u/{}", self.options.upstream);
        let internal = |error: &dyn std::fmt::Display| {
            Problem::new(Code::Internal).with("detail", error.to_string())
        };
        *request.uri_mut() = path.parse().map_err(|error| internal(&error))?;
        let host = HeaderValue::from_str(authority).map_err(|error| internal(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(AUTHORIZATION, credential);
        let wanted = match message {
            Some(_) => "application/json, text/event-stream",
            None => "text/event-stream",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(wanted));
        if message.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, json);
        }
        if let Some(last) = last_event.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert(LAST_EVENT, last);
        }
        let stateless = message.and_then(|message| Some((message, message.revision.as_ref()?)));
        if let Some((message, revision)) = stateless {
            // MCP 2026-07-28, streamable-http: what the body says, said again for proxies.
            let fields = [
                (REVISION, Some(revision)),
                (MCP_METHOD, message.method.as_ref()),
                (MCP_NAME, message.name.as_ref()),
            ];
            for (name, text) in fields {
                if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                    headers.insert(name, value);
                }
            }
        } else if !message.is_some_and(|message| message.is("initialize")) {
            let talk = self.talk.borrow();
            headers.extend(talk.session.clone().map(|session| (SESSION, session)));
            headers.extend(talk.revision.clone().map(|revision| (REVISION, revision)));
        }
        Ok(request)
    }

    /// Brings the answer to the agent; an error: it did not come.
    async fn answer(
        &self,
        message: &Message,
        response: Response<Incoming>,
    ) -> Result<End, Problem> {
        let status = response.status();
        if message.is("initialize") && status.is_success() {
            let session = response.headers().get(SESSION).cloned();
            self.talk.borrow_mut().session = session;
        }
        let in_session = message.revision.is_none() && self.talk.borrow().session.is_some();
        if status == StatusCode::NOT_FOUND && in_session && !message.is("initialize") {
            return Ok(End::Forgotten);
        }
        if is_events(&response) {
            return self.follow(message, response).await;
        }
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body
            .map_err(|_| self.problem(Code::ConnectionLost))?
            .to_bytes();
        let line = one_line(&body);
        if status.is_success() {
            if message.is("initialize") {
                self.note_revision(&line);
            }
            if !line.is_empty() && (message.id.is_some() || message.method.is_none()) {
                self.tell(line);
            } else if let Some(error) = message.failed(&self.no_answer(status)) {
                self.tell(error);
            }
            return Ok(End::Answered);
        }
        // The error as whoever made it put it, under the id that the agent waits for.
        let said = serde_json::from_slice::<Value>(&line).unwrap_or_default();
        let error = match &said["error"] {
            error @ Value::Object(_) => message.with_error(error),
            _ => message.failed(&self.no_answer(status)),
        };
        if let Some(error) = error {
            self.tell(error);
        }
        Ok(End::Answered)
    }

    fn no_answer(&self, status: StatusCode) -> Problem {
        self.problem(Code::UpstreamUnreachable)
            .because(format!("it answered {status} without a message"))
    }

    fn note_revision(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let revision = answer["result"]["protocolVersion"].as_str();
        let revision = revision.and_then(|text| HeaderValue::from_str(text).ok());
        self.talk.borrow_mut().revision = revision;
    }

    /// Passes events on until the answer has come; takes a stream that breaks up again where its
    /// events have ids (MCP 2025-11-25, transports).
    async fn follow(
        &self,
        message: &Message,
        response: Response<Incoming>,
    ) -> Result<End, Problem> {
        let mut response = response;
        let mut last = None;
        let mut left = RESUMPTIONS;
        loop {
            let before = last.clone();
            if self
                .pass_on(response.into_body(), &mut last, Some(message))
                .await
            {
                return Ok(End::Answered);
            }
            if message.id.is_none() {
                return Ok(End::Answered);
            }
            left = if last == before {
                left - 1
            } else {
                RESUMPTIONS
            };
            let Some(id) = last.as_deref().filter(|_| left > 0) else {
                return Err(self.problem(Code::ConnectionLost));
            };
            let mut pause = PAUSES.0;
            response = loop {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
                match self.send(Method::GET, None, Some(id)).await {
                    Ok(again) if again.status().is_success() && is_events(&again) => break again,
                    Err(problem) if problem.code() == Code::NotRunning && left > 1 => left -= 1,
                    _ => return Err(self.problem(Code::ConnectionLost)),
                }
            };
        }
    }

    /// Passes the events of one stream on; whether the answer to `waiting` was among them.
    async fn pass_on(
        &self,
        mut body: Incoming,
        last: &mut Option<String>,
        waiting: Option<&Message>,
    ) -> bool {
        let mut events = Events::default();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(chunk) = frame.data_ref() else {
                continue;
            };
            for event in events.feed(chunk) {
                if event.id.is_some() {
                    *last = event.id;
                }
                let line = one_line(&event.data);
                if line.is_empty() {
                    continue;
                }
                if waiting.is_some_and(|message| message.is("initialize")) {
                    self.note_revision(&line);
                }
                let answers = waiting.is_some_and(|message| message.is_answered_by(&line));
                self.tell(line);
                if answers {
                    return true;
                }
            }
            if events.held() > LONGEST {
                return false;
            }
        }
        false
    }

    /// Shakes hands again with what the agent said at first; once for all who notice.
    async fn greet_again(&self) -> Result<(), Problem> {
        let seen = self.epoch.get();
        let _turn = self.greeting.lock().await;
        if self.epoch.get() != seen {
            return Ok(());
        }
        let hello = self.talk.borrow().hello.clone();
        let hello = hello.ok_or_else(|| self.problem(Code::ConnectionLost))?;
        let response = self.send(Method::POST, Some(&hello), None).await?;
        let session = response.headers().get(SESSION).cloned();
        if !response.status().is_success() || session.is_none() {
            return Err(self.problem(Code::ConnectionLost));
        }
        // The agent has had its answer: this one is read for its end only.
        let _ = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
        {
            let mut talk = self.talk.borrow_mut();
            talk.session = session;
            talk.last_event = None;
        }
        let ready =
            Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let ready = Message::parse(ready).expect("a message");
        self.send(Method::POST, Some(&ready), None).await?;
        self.epoch.set(seen + 1);
        Ok(())
    }

    /// Listens to what the server says by itself, for as long as it offers that.
    pub(super) async fn listen(&self) {
        let mut pause = PAUSES.0;
        loop {
            let last = self.talk.borrow().last_event.clone();
            let epoch = self.epoch.get();
            match self.send(Method::GET, None, last.as_deref()).await {
                Ok(response) if response.status().is_success() && is_events(&response) => {
                    let mut last = last;
                    self.pass_on(response.into_body(), &mut last, None).await;
                    if self.epoch.get() == epoch {
                        self.talk.borrow_mut().last_event = last;
                    }
                    pause = PAUSES.0;
                }
                // 405: there is none. 401: this session has ended. 404: the next request of the
                // agent shakes hands again, and until then there is nothing to listen to.
                Ok(response) if response.status() == StatusCode::NOT_FOUND => {
                    pause = PAUSES.1;
                }
                Ok(response) if response.status().is_client_error() => return,
                Ok(_) | Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

fn is_events(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.and_then(|kind| kind.as_bytes().get(..17))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}
