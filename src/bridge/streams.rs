//! Streams of events: those that bring an answer, and the one that is listened to.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::events::Events;
use super::link::Sent;
use super::message::{Message, one_line};
use super::talk::{End, LONGEST, PAUSES, Talk};
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::standin::is_acknowledgement;

/// How often a stream is taken up again without anything new on it.
const RESUMPTIONS: u32 = 5;

impl Talk {
    /// Passes events on until the answer has come; takes a stream that breaks up again where its
    /// events have ids (MCP 2025-11-25, transports).
    pub(super) async fn follow(
        &self,
        message: &Message,
        response: Response<Incoming>,
    ) -> Result<End, Problem> {
        let broken = || self.link.problem(Code::ConnectionLost);
        let mut response = response;
        let mut course = Course::default();
        let mut left = RESUMPTIONS;
        loop {
            let before = course.last.clone();
            let heard = Heard::Answer(message);
            if self.pass_on(response.into_body(), &mut course, heard).await {
                return Ok(End::Answered);
            }
            // Whether all of a batch was answered is not known.
            if message.id.is_none() {
                return Ok(End::Answered);
            }
            left = if course.last == before {
                left - 1
            } else {
                RESUMPTIONS
            };
            let id = course
                .last
                .clone()
                .filter(|_| left > 0)
                .ok_or_else(broken)?;
            let place = self.place.borrow().clone();
            let mut pause = PAUSES.0;
            response = loop {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
                match self.link.send(Sent::Listen(Some(&id)), &place).await {
                    Ok(again) if again.status().is_success() && is_events(&again) => break again,
                    Err(problem) if problem.code() == Code::NotRunning && left > 1 => left -= 1,
                    _ => return Err(broken()),
                }
            };
        }
    }

    /// Passes the events of one stream on; whether the awaited answer was among them.
    pub(super) async fn pass_on(
        &self,
        mut body: Incoming,
        course: &mut Course,
        heard: Heard<'_>,
    ) -> bool {
        let mut events = Events::default();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(chunk) = frame.data_ref() else {
                continue;
            };
            for event in events.feed(chunk) {
                course.heard = true;
                if event.id.is_some() {
                    course.last = event.id;
                }
                let line = one_line(&event.data);
                if line.is_empty() {
                    continue;
                }
                if !is_json_rpc(&line) {
                    complain(self.link.upstream());
                    continue;
                }
                let answers = heard.is_answered_by(&line);
                if answers && heard.is_hello() {
                    self.note_revision(&line);
                }
                if !heard.is_known(&line) {
                    self.tell(line).await;
                }
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

    /// Listens to what the server says by itself, for as long as it offers that.
    pub(super) async fn listen(&self) {
        let mut pause = PAUSES.0;
        loop {
            let (epoch, last) = (self.epoch.get(), self.last_event.borrow().clone());
            let place = self.place.borrow().clone();
            let absent = self.absence.borrow().is_some();
            if !absent {
                match self.link.send(Sent::Listen(last.as_deref()), &place).await {
                    Ok(response) if response.status().is_success() && is_events(&response) => {
                        let mut course = Course { last, heard: false };
                        self.pass_on(response.into_body(), &mut course, Heard::Anything)
                            .await;
                        if self.epoch.get() == epoch {
                            *self.last_event.borrow_mut() = course.last;
                        }
                        // One that ends without a word may do so again and again.
                        if course.heard {
                            pause = PAUSES.0;
                        }
                    }
                    Ok(response) if response.status().is_client_error() => {
                        if is_final(response).await {
                            return;
                        }
                        // Of a session that is forgotten there is nothing to hear until the next
                        // request of the agent shakes hands again; others can pass as well.
                        pause = PAUSES.1;
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// How far a stream has come.
#[derive(Default)]
pub(super) struct Course {
    /// The id of its last event that has one.
    pub(super) last: Option<String>,
    /// Whether there was any event.
    pub(super) heard: bool,
}

/// What is listened for on a stream.
#[derive(Clone, Copy)]
pub(super) enum Heard<'m> {
    /// The answer to this request.
    Answer(&'m Message),
    /// The same, which the agent has had already.
    Repeated(&'m Message),
    /// The answer to this request, whose acknowledgement the agent has had already.
    Renewed(&'m Message),
    /// Whatever comes.
    Anything,
}

impl Heard<'_> {
    fn is_answered_by(self, line: &[u8]) -> bool {
        match self {
            Self::Answer(message) | Self::Repeated(message) | Self::Renewed(message) => {
                message.is_answered_by(line)
            }
            Self::Anything => false,
        }
    }

    /// Whether the agent knows it already.
    fn is_known(self, line: &[u8]) -> bool {
        match self {
            Self::Repeated(_) => true,
            Self::Renewed(_) => is_acknowledgement(line),
            Self::Answer(_) | Self::Anything => false,
        }
    }

    fn is_hello(self) -> bool {
        match self {
            Self::Answer(message) | Self::Repeated(message) => message.is("initialize"),
            Self::Renewed(_) | Self::Anything => false,
        }
    }
}

/// Whether a refusal to let us listen stays: there is nothing to hear, or this bridge's session
/// was ended. After one that was unused for too long comes another.
async fn is_final(response: Response<Incoming>) -> bool {
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => true,
        StatusCode::UNAUTHORIZED => {
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_or_else(|_| Bytes::new(), Collected::to_bytes);
            let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            let code = said["error"]["data"]["code"].as_str();
            let another = [Code::SessionExpired, Code::SessionIdle].map(Code::as_str);
            code.is_some_and(|code| code.starts_with("session_") && !another.contains(&code))
        }
        _ => false,
    }
}

/// Whether it may be said to the agent: a message, or a batch of them.
fn is_json_rpc(line: &Bytes) -> bool {
    matches!(line.first(), Some(b'{' | b'[')) && serde_json::from_slice::<&RawValue>(line).is_ok()
}

/// Says that an event was dropped, where a person can find it.
fn complain(upstream: &str) {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr().lock(),
        "doorward: {upstream} sent an event that is no JSON-RPC message; it is dropped"
    );
}

pub(super) fn is_events(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.and_then(|kind| kind.as_bytes().get(..17))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}
