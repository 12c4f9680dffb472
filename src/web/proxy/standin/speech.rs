//! What is said in the place of a server: what it said before, else the stub.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue as LocalValue;
use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value, json};

use super::super::super::respond;
use super::super::mcp::ASKED;
use super::super::message::Message;
use super::{OURS, Scene, memory, result};
use crate::ledger::{News, Spared};
use crate::model::mcp::is_hello;
use crate::model::mcp::standin::{self, Part, Topic, Wanted, Wants};

impl Scene {
    /// What is said to one message.
    pub(super) fn one_answer(&self, one: &Wants, part: &Part, message: &Message) -> Value {
        let said = match part {
            Part::Stand => self.remembered(one).or_else(|| self.stub(one)),
            Part::Remember => self.remembered(one),
            Part::Agree => Some(json!({})),
            Part::Subscribe(change) => self.named.as_ref().map(|named| {
                named.session.subscribe(change.clone());
                self.worker.state.ledger.mcp().touch(named.key);
                json!({})
            }),
            Part::Hold | Part::Attend | Part::Accept | Part::Tell => None,
        };
        match said {
            Some(said) => {
                self.note_absence();
                result(&one.id, said)
            }
            None => respond::shaped(&self.problem, message, self.call.id),
        }
    }

    /// Answers a handshake or a list.
    pub(super) fn standing_answer(&self, one: &Wants) -> Option<HttpResponse> {
        let said = self.remembered(one).or_else(|| self.stub(one))?;
        let mut told = None;
        if one.wanted == Wanted::Hello {
            let hello = self.body.bytes();
            if !is_hello(hello) {
                return None;
            }
            let id = format!("{OURS}{}", self.worker.state.own_id());
            let id = HeaderValue::from_str(&id).ok()?;
            let news = News {
                by: self.call.who(),
                under: None,
                hello: Some(Bytes::copy_from_slice(hello)),
            };
            let account = self.call.route.account();
            self.worker.state.ledger.mcp().stand_in(account, &id, news);
            told = LocalValue::from_bytes(id.as_bytes()).ok();
        }
        self.note_absence();
        let body = result(&one.id, said);
        let mut answer = respond::json(StatusCode::OK, &body, self.call.id);
        if let Some(told) = told {
            answer.headers_mut().insert(ASKED, told);
        }
        Some(answer)
    }

    pub(super) fn note_absence(&self) {
        let now = self.worker.state.clock.now();
        self.call.spared(Spared::Absence, now);
    }

    /// What the server said to this before.
    pub(super) fn remembered(&self, one: &Wants) -> Option<Value> {
        let topic = Topic::of(&one.method).filter(|_| one.is_answered())?;
        let route = &self.call.route;
        let state = &self.worker.state;
        let under = memory::epoch(route);
        let now = state.clock.now();
        let memory = state.ledger.memory();
        memory.answer(route.account(), under, topic, &one.params, now)
    }

    fn stub(&self, one: &Wants) -> Option<Value> {
        let upstream = self.call.route.account().to_string();
        let why = respond::message_of(&self.problem);
        standin::result(&one.method, &one.params, &upstream, &why)
    }
}
