//! The way to the daemon: where it is, who the bridge is to it, and one request.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use super::message::Message;
use super::wire::{self, NoAnswer};
use super::{Daemon, Options};
use crate::api::{self, Mint, Minted};
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};
use crate::model::record::SessionOrigin;

/// The field that names the MCP session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What a request belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The MCP session.
    pub(super) session: Option<HeaderValue>,
    /// The revision that was agreed on.
    pub(super) revision: Option<HeaderValue>,
}

/// What is sent.
pub(super) enum Sent<'m> {
    /// A message.
    Message(&'m Message),
    /// A wish to listen, from behind this event on.
    Listen(Option<&'m str>),
    /// The end of the MCP session.
    End,
}

/// The session of a bridge.
struct Own {
    id: String,
    bearer: HeaderValue,
    /// Whether it ends whatever its use.
    has_ceiling: bool,
}

/// The daemon, and this bridge's session there.
pub(super) struct Link {
    daemon: Rc<dyn Daemon>,
    options: Options,
    base: RefCell<Option<String>>,
    own: RefCell<Option<Own>>,
    minting: tokio::sync::Mutex<()>,
    complaint: RefCell<String>,
}

impl Link {
    pub(super) fn new(daemon: Rc<dyn Daemon>, options: Options) -> Self {
        Self {
            daemon,
            options,
            base: RefCell::default(),
            own: RefCell::default(),
            minting: tokio::sync::Mutex::default(),
            complaint: RefCell::default(),
        }
    }

    /// The upstream that is served.
    pub(super) fn upstream(&self) -> &str {
        &self.options.upstream
    }

    /// A problem of that upstream.
    pub(super) fn problem(&self, code: Code) -> Problem {
        Problem::new(code).with("upstream", self.upstream())
    }

    /// Finds the daemon and mints the session of this bridge.
    pub(super) async fn prepare(&self) -> Result<(), Fault> {
        self.base(true).await?;
        self.credential().await.map(|_| ())
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

    /// The public id of the session, once there is one.
    pub(super) fn session(&self) -> Option<String> {
        self.own.borrow().as_ref().map(|own| own.id.clone())
    }

    /// Notes that the session `id` was unused for too long; whether another one takes its place.
    /// Under a ceiling that holds whatever the use, none does.
    pub(super) fn lapsed(&self, id: &str) -> bool {
        let mut own = self.own.borrow_mut();
        match &*own {
            Some(held) if held.id == id => {
                if held.has_ceiling {
                    return false;
                }
                *own = None;
                true
            }
            // Another message has found that out before.
            _ => true,
        }
    }

    /// The credential of this bridge. A session that is revoked stays so.
    async fn credential(&self) -> Result<HeaderValue, Fault> {
        let _turn = self.minting.lock().await;
        if let Some(own) = &*self.own.borrow() {
            return Ok(own.bearer.clone());
        }
        let asked = Mint {
            upstreams: vec![self.options.upstream.clone()],
            label: self.options.label.clone(),
            bind_pid: Some(std::process::id()),
            within: self.options.within.clone(),
            parent: self.options.parent.clone(),
            ..Mint::of(SessionOrigin::Bridge)
        };
        let control = self.daemon.control();
        let minted: Minted = control.post(api::path::SESSIONS, &asked).await?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", minted.credential));
        let mut bearer = bearer
            .map_err(|error| Fault::from(Problem::new(Code::Internal).with("detail", error)))?;
        bearer.set_sensitive(true);
        *self.own.borrow_mut() = Some(Own {
            id: minted.session.id,
            bearer: bearer.clone(),
            has_ceiling: minted.session.max_expires_at.is_some(),
        });
        Ok(bearer)
    }

    /// Ends this bridge's session.
    pub(super) async fn leave(&self) {
        let own = self.own.borrow_mut().take();
        let Some(Own { id, .. }) = own else { return };
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

    /// Tells the person what keeps the daemon away, once for as long as it stays the same.
    fn complain(&self, problem: Problem) -> Problem {
        let text = problem.message();
        if *self.complaint.borrow() != text {
            self.daemon.tell(&problem.clone().into());
            self.complaint.replace(text);
        }
        problem
    }

    /// Tells the person why this bridge ends.
    pub(super) fn tell(&self, fault: &Fault) {
        self.daemon.tell(fault);
    }

    /// `text` with its commands as the person who configured this bridge has to type them.
    pub(super) fn spell(&self, text: &str) -> String {
        self.options.invocation.spell(text)
    }

    /// The error that tells the agent what went wrong with a request; nothing where it waits for
    /// no answer.
    pub(super) fn failed(&self, message: &Message, problem: &Problem) -> Option<Bytes> {
        message.failed(problem, &self.spell(&problem.message()))
    }

    /// One request. The code of a problem tells whether it was sent: `NotRunning` says no.
    pub(super) async fn send(
        &self,
        sent: Sent<'_>,
        place: &Place,
    ) -> Result<Response<Incoming>, Problem> {
        let away = |fault: Fault| {
            let problem = fault.into_problem();
            match problem.code() {
                // It stays so until a person has done something.
                Code::ConfigInvalid | Code::RemoteBindRefused => self.complain(problem),
                Code::NotRunning => problem,
                _ => Problem::new(Code::NotRunning).because(problem.message()),
            }
        };
        let wanted = matches!(sent, Sent::Message(_));
        let authority = self.base(wanted).await.map_err(away)?;
        let credential = self.credential().await.map_err(away)?;
        let request = self.request(&authority, &sent, place, credential)?;
        let problem = match wire::send(&authority, request).await {
            Ok(response) => return Ok(response),
            Err(NoAnswer::NotSent(why)) => Problem::new(Code::NotRunning).because(why),
            Err(NoAnswer::Lost(_)) => self.problem(Code::ConnectionLost),
        };
        // It may come back at another address.
        *self.base.borrow_mut() = None;
        Err(problem)
    }

    fn request(
        &self,
        authority: &str,
        sent: &Sent<'_>,
        place: &Place,
        credential: HeaderValue,
    ) -> Result<Request<Full<Bytes>>, Problem> {
        let internal = |error: &dyn std::fmt::Display| {
            Problem::new(Code::Internal).with("detail", error.to_string())
        };
        let (method, message, last_event) = match sent {
            Sent::Message(message) => (Method::POST, Some(*message), None),
            Sent::Listen(last) => (Method::GET, None, *last),
            Sent::End => (Method::DELETE, None, None),
        };
        let body = message.map_or_else(Bytes::new, |message| message.bytes.clone());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let path = format!("/u/{}", self.upstream());
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
            headers.extend(place.session.clone().map(|session| (SESSION, session)));
            headers.extend(place.revision.clone().map(|revision| (REVISION, revision)));
        }
        Ok(request)
    }
}
