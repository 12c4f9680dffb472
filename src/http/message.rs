//! What is sent and what comes back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::address::Reach;
use super::{METADATA_BODY_LIMIT, retry_after};
use crate::model::time::Timestamp;

/// What to send.
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) limit: usize,
    pub(super) reach: Reach,
    pub(super) body_policy: BodyPolicy,
    pub(super) answer: Option<Duration>,
}

/// What to do with the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPolicy {
    /// Read it to its end, within the limit.
    Read,
    /// Leave it: it may be an event stream without an end.
    Ignore,
}

/// A whole answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body; empty where it was not to be read.
    pub body: Bytes,
    /// When the request was started: what lifetimes in the answer are counted from.
    pub sent: Timestamp,
    /// When the answer was complete.
    pub received: Timestamp,
}

impl Request {
    /// A GET that wants JSON.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A request without a body.
    pub fn new(method: Method, url: Url) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!("doorward/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Ok(host) = HeaderValue::from_str(&authority(&url)) {
            headers.insert(HOST, host);
        }
        Self {
            method,
            url,
            headers,
            body: Bytes::new(),
            limit: METADATA_BODY_LIMIT,
            reach: Reach::PUBLIC,
            body_policy: BodyPolicy::Read,
            answer: None,
        }
    }

    /// A POST of a form.
    pub fn post_form(url: Url, form: String) -> Self {
        Self::new(Method::POST, url).with_body("application/x-www-form-urlencoded", form.into())
    }

    /// A POST of a JSON document.
    pub fn post_json(url: Url, document: &serde_json::Value) -> Self {
        let text = document.to_string();
        Self::new(Method::POST, url).with_body("application/json", text.into())
    }

    fn with_body(mut self, kind: &'static str, body: Bytes) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.body = body;
        self
    }

    /// Adds or replaces a header field.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// How much of a body is read at most.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Where it may go; the internet only unless said otherwise.
    #[must_use]
    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// What to do with the body.
    #[must_use]
    pub fn body(mut self, policy: BodyPolicy) -> Self {
        self.body_policy = policy;
        self
    }

    /// How long the exchange may take, instead of the client's own limit.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.answer = Some(time);
        self
    }
}

impl Answer {
    /// How long the server asks to wait, bounded.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, self.received)
    }

    /// How long the exchange took.
    pub fn took(&self) -> Duration {
        self.received.since(self.sent)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may hold tokens.
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("an empty name").to_owned()
}

fn authority(url: &Url) -> String {
    let host = host_of(url);
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
