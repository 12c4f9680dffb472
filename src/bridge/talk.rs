//! The conversation: from one message to its answer, with what a daemon that restarts, a server
//! that lost its session, a stream that breaks or a missing sign-in leave to be done.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use super::link::{Link, Place, SESSION, Sent};
use super::message::{Message, one_line};
use super::streams::{Course, Heard, is_events};
use super::subscription;
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::standin as stub;

/// The first pause before something is tried again, and the longest one.
pub(super) const PAUSES: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));
/// How long a message waits for a daemon that is away.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a handshake does: the shortest patience that agents have with one is ten seconds.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// The longest message.
pub(super) const LONGEST: usize = 64 << 20;

/// The field with which the daemon says whose answer one is.
const ORIGIN: HeaderName = HeaderName::from_static("doorward-origin");

/// Everything that the tasks of a bridge share.
pub(super) struct Talk {
    pub(super) link: Link,
    out: Sender<Bytes>,
    /// `initialize` as the agent sent it, for a server that has forgotten it or never had it.
    hello: RefCell<Option<Message>>,
    pub(super) place: RefCell<Place>,
    pub(super) last_event: RefCell<Option<String>>,
    /// Why the server cannot be had, while that is so.
    pub(super) absence: RefCell<Option<String>>,
    absent: Notify,
    /// Whether the agent was ever answered in the place of the server.
    stood_in: Cell<bool>,
    greeting: tokio::sync::Mutex<()>,
    /// How often hands were shaken.
    pub(super) epoch: Cell<u64>,
}

/// How one exchange ended.
pub(super) enum End {
    /// Its answer, if it wanted one, is on its way to the agent.
    Answered,
    /// The server does not know the session of this handshake.
    Forgotten(u64),
    /// The session of this bridge was unused for too long, and another one takes its place. What
    /// server sessions there were with this handshake belong to the old one.
    Lapsed(u64),
    /// The handshake was refused, by us or by the server, with this line to tell.
    Refused(Option<Bytes>),
}

impl Talk {
    pub(super) fn new(link: Link, out: Sender<Bytes>) -> Self {
        Self {
            link,
            out,
            hello: RefCell::default(),
            place: RefCell::default(),
            last_event: RefCell::default(),
            absence: RefCell::default(),
            absent: Notify::new(),
            stood_in: Cell::new(false),
            greeting: tokio::sync::Mutex::default(),
            epoch: Cell::new(0),
        }
    }

    pub(super) async fn tell(&self, line: Bytes) {
        // Nobody listens only when the agent has gone.
        let _ = self.out.send(line).await;
    }

    /// Carries one message, whatever it takes, and sees to it that a request is answered.
    pub(super) async fn carry(&self, message: Message) {
        if message.is("initialize") {
            return self.greet(message).await;
        }
        let absence = self.absence.borrow().clone();
        if let (Some(why), None) = (absence, &message.revision) {
            return self.stand_in(&message, &why).await;
        }
        if message.is("tools/call")
            && message.name.as_deref() == Some(stub::TOOL)
            && self.stood_in.get()
        {
            // It was listed by us, and asked for before the agent saw the real list.
            let over = stub::over(self.link.upstream());
            return self.tell_result(&message, &over).await;
        }
        if subscription::is_wish(&message) {
            return self.subscribe(&message).await;
        }
        let problem = match self.through(&message).await {
            Ok(End::Answered) => return,
            Ok(End::Refused(line)) => return self.tell_if_any(line).await,
            Ok(End::Forgotten(_) | End::Lapsed(_)) => self.link.problem(Code::ConnectionLost),
            Err(problem) => problem,
        };
        self.tell_if_any(self.link.failed(&message, &problem)).await;
    }

    /// Sends a message, and once more after shaking hands again where it was not carried out for
    /// want of a session.
    async fn through(&self, message: &Message) -> Result<End, Problem> {
        let end = self.exchange(message, PATIENCE).await?;
        match end {
            End::Answered | End::Refused(_) => return Ok(end),
            // A message of the stateless revision needs no handshake.
            End::Lapsed(_) if message.revision.is_some() => {}
            End::Forgotten(epoch) | End::Lapsed(epoch) => self.greet_again(epoch).await?,
        }
        self.exchange(message, PATIENCE).await
    }

    /// Shakes hands. An agent whose handshake fails never comes back, so one that fails for a
    /// reason that can pass succeeds all the same.
    async fn greet(&self, message: Message) {
        *self.hello.borrow_mut() = Some(message.clone());
        *self.place.borrow_mut() = Place::default();
        *self.last_event.borrow_mut() = None;
        *self.absence.borrow_mut() = None;
        let mut end = self.exchange(&message, HANDSHAKE_PATIENCE).await;
        if matches!(end, Ok(End::Lapsed(_))) {
            end = self.exchange(&message, HANDSHAKE_PATIENCE).await;
        }
        match end {
            Ok(End::Answered) => self.epoch.set(self.epoch.get() + 1),
            Ok(End::Forgotten(_) | End::Lapsed(_)) => {
                let problem = self.link.problem(Code::UpstreamUnreachable);
                self.be_absent(&message, problem.message()).await;
            }
            Ok(End::Refused(line)) => {
                let said = line.as_deref().map(serde_json::from_slice::<Value>);
                let error = said.and_then(Result::ok).unwrap_or_default()["error"].take();
                let ours = error["data"]["source"] == "doorward";
                let code = error["data"]["code"].as_str().unwrap_or_default();
                let why = error["message"].as_str().unwrap_or_default().to_owned();
                // A session that was ended stays ended; all else that is ours to say can pass.
                if ours && !code.starts_with("session_") {
                    self.be_absent(&message, why).await;
                } else {
                    self.tell_if_any(line).await;
                }
            }
            Err(problem) => self.be_absent(&message, problem.message()).await,
        }
    }

    async fn be_absent(&self, message: &Message, why: String) {
        let why = self.link.spell(&why);
        self.stand_in(message, &why).await;
        *self.absence.borrow_mut() = Some(why);
        self.absent.notify_one();
    }

    /// Answers in the place of the server.
    async fn stand_in(&self, message: &Message, why: &str) {
        self.stood_in.set(true);
        if let Some(result) = standing(message, self.link.upstream(), why) {
            return self.tell_result(message, &result).await;
        }
        let problem = self.link.problem(Code::UpstreamUnreachable).because(why);
        self.tell_if_any(self.link.failed(message, &problem)).await;
    }

    async fn tell_result(&self, message: &Message, result: &Value) {
        self.tell_if_any(message.with_result(result)).await;
    }

    async fn tell_if_any(&self, line: Option<Bytes>) {
        if let Some(line) = line {
            self.tell(line).await;
        }
    }

    /// While the server cannot be had, tries again and again; tells the agent when it is there.
    /// A missing sign-in is not among what is mended here: the daemon stands in for that itself.
    pub(super) async fn mend(&self) {
        loop {
            self.absent.notified().await;
            let mut pause = PAUSES.0;
            while self.greet_again(self.epoch.get()).await.is_err() {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            *self.absence.borrow_mut() = None;
            for line in stub::ANNOUNCEMENTS {
                self.tell(line.into()).await;
            }
        }
    }

    /// Ends the MCP session.
    pub(super) async fn take_leave(&self) {
        let place = self.place.borrow().clone();
        if place.session.is_some() {
            let _ = self.link.send(Sent::End, &place).await;
        }
    }

    /// One attempt, or several where nothing was sent or nothing can come of it twice.
    async fn exchange(&self, message: &Message, patience: Duration) -> Result<End, Problem> {
        let until = Instant::now() + patience;
        let mut pause = PAUSES.0;
        loop {
            // What is found out later is about the handshake that held when it was sent.
            let epoch = self.epoch.get();
            let session = self.link.session();
            let place = self.place.borrow().clone();
            let lost = match self.link.send(Sent::Message(message), &place).await {
                Ok(response) => match self.answer(message, &place, epoch, response).await {
                    Ok(End::Refused(line)) if self.has_lapsed(line.as_ref(), session) => {
                        return Ok(End::Lapsed(epoch));
                    }
                    Ok(end) => return Ok(end),
                    Err(lost) => lost,
                },
                Err(problem) => problem,
            };
            let not_sent = lost.code() == Code::NotRunning;
            // Trying again helps against what passes, and a file stays wrong until it is mended.
            let lasts = matches!(lost.code(), Code::ConfigInvalid | Code::RemoteBindRefused);
            if lasts || Instant::now() >= until || !(not_sent || message.may_repeat()) {
                return Err(lost);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Whether a request was refused because `session` was unused for too long, and another one
    /// takes its place.
    pub(super) fn has_lapsed(&self, refusal: Option<&Bytes>, session: Option<String>) -> bool {
        let said = refusal.map(|line| serde_json::from_slice::<Value>(line));
        let said = said.and_then(Result::ok).unwrap_or_default();
        let data = &said["error"]["data"];
        let lapsed = [Code::SessionExpired, Code::SessionIdle].map(Code::as_str);
        data["source"] == "doorward"
            && data["code"]
                .as_str()
                .is_some_and(|code| lapsed.contains(&code))
            && session.is_some_and(|id| self.link.lapsed(&id))
    }

    /// Brings the answer to the agent; an error: it did not come.
    pub(super) async fn answer(
        &self,
        message: &Message,
        place: &Place,
        epoch: u64,
        response: Response<Incoming>,
    ) -> Result<End, Problem> {
        let status = response.status();
        let hello = message.is("initialize");
        if hello && status.is_success() {
            self.place.borrow_mut().session = response.headers().get(SESSION).cloned();
        }
        let in_session = message.revision.is_none() && place.session.is_some() && !hello;
        let unknown = status == StatusCode::NOT_FOUND && in_session;
        let theirs = is_of_the_server(&response);
        if unknown && theirs {
            return Ok(End::Forgotten(epoch));
        }
        if !message.wants_answer() && (theirs || status.is_success()) {
            // It has arrived. What else comes, if ever it ends, is not waited for.
            return Ok(End::Answered);
        }
        if is_events(&response) {
            return self.follow(message, response).await;
        }
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|_| self.link.problem(Code::ConnectionLost))?;
        let line = one_line(&body.to_bytes());
        if status.is_success() && message.is_answered_by(&line) {
            if hello {
                self.note_revision(&line);
            }
            self.tell(line).await;
            return Ok(End::Answered);
        }
        // The error as whoever made it put it, under the id that the agent waits for.
        let said = serde_json::from_slice::<Value>(&line).unwrap_or_default();
        if unknown && said["error"]["data"]["code"] == Code::McpSession.as_str() {
            return Ok(End::Forgotten(epoch));
        }
        Ok(End::Refused(match &said["error"] {
            error @ Value::Object(_) => message.with_error(error),
            _ => self.link.failed(message, &self.no_answer(status)),
        }))
    }

    fn no_answer(&self, status: StatusCode) -> Problem {
        let problem = self.link.problem(Code::UpstreamUnreachable);
        problem.because(format!("it answered {status} without an answer to this"))
    }

    pub(super) fn note_revision(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let revision = answer["result"]["protocolVersion"].as_str();
        let revision = revision.and_then(|text| HeaderValue::from_str(text).ok());
        self.place.borrow_mut().revision = revision;
    }

    /// Shakes hands again with what the agent said at first, once for all who noticed that those
    /// of `seen` are not worth anything any more.
    async fn greet_again(&self, seen: u64) -> Result<(), Problem> {
        let _turn = self.greeting.lock().await;
        if self.epoch.get() != seen {
            return Ok(());
        }
        let lost = || self.link.problem(Code::ConnectionLost);
        let hello = self.hello.borrow().clone().ok_or_else(lost)?;
        let nowhere = Place::default();
        let response = self.link.send(Sent::Message(&hello), &nowhere).await?;
        if !response.status().is_success() {
            return Err(lost());
        }
        let session = response.headers().get(SESSION).cloned();
        // The agent has had its answer: this one is read for what was agreed on.
        let read = async {
            if is_events(&response) {
                let heard = Heard::Repeated(&hello);
                let mut course = Course::default();
                return self.pass_on(response.into_body(), &mut course, heard).await;
            }
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let Ok(body) = body else { return false };
            let body = body.to_bytes();
            self.note_revision(&body);
            hello.is_answered_by(&body)
        };
        let answered = tokio::time::timeout(PATIENCE, read).await;
        if !answered.unwrap_or(false) {
            return Err(lost());
        }
        self.place.borrow_mut().session = session;
        *self.last_event.borrow_mut() = None;
        let ready =
            Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let ready = Message::parse(ready).expect("a message");
        let place = self.place.borrow().clone();
        self.link.send(Sent::Message(&ready), &place).await?;
        self.epoch.set(seen + 1);
        Ok(())
    }
}

/// The result of a request while its server cannot be had; `None` where only an error is honest.
fn standing(message: &Message, upstream: &str, why: &str) -> Option<Value> {
    let body: Value = serde_json::from_slice(&message.bytes).unwrap_or_default();
    stub::result(message.method.as_deref()?, &body["params"], upstream, why)
}

/// Whether the daemon only passes it on: what it says by itself is not about the server's memory.
fn is_of_the_server(response: &Response<Incoming>) -> bool {
    let origin = response.headers().get(ORIGIN);
    origin.is_some_and(|origin| origin == "upstream")
}
