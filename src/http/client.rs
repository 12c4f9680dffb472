//! One request, one client, one bounded answer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls::ClientConfig;
use url::{Host, Url};

use super::address::{Reach, Zone, is_this_machine, zone};
use super::tls::TlsFault;
use super::{Lost, METADATA_BODY_LIMIT, NotSent, TransportFault, retry_after};
use crate::clock::Clock;
use crate::model::time::Timestamp;

/// How many addresses of one name are tried.
const MAX_ADDRESSES: usize = 4;

/// How long the parts of an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Finding the address of a name; and a connection to one address.
    pub connect: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// The exchange over one connection.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            answer: Duration::from_secs(30),
        }
    }
}

/// Makes our own calls. Cheap to clone; the futures run where awc runs, on one actix thread.
#[derive(Clone)]
pub struct OwnClient {
    tls: Result<Arc<ClientConfig>, TlsFault>,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
}

/// What to send.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    limit: usize,
    reach: Reach,
    body_policy: BodyPolicy,
    answer: Option<Duration>,
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

impl OwnClient {
    /// A client that trusts whom `tls` trusts. Without anybody to trust it still reaches this
    /// machine over plain HTTP, and says of everything else why it does not.
    pub fn new(
        tls: Result<ClientConfig, TlsFault>,
        clock: Arc<dyn Clock>,
        timeouts: Timeouts,
    ) -> Self {
        let tls = tls.map(|mut config| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        });
        Self {
            tls,
            clock,
            timeouts,
        }
    }

    /// Sends the request once. Only an attempt that certainly reached nobody is followed by one
    /// at another address of the same name.
    pub async fn send(&self, request: Request) -> Result<Answer, TransportFault> {
        let addresses = self.addresses(&request.url).await?;
        let mut admitted = addresses
            .into_iter()
            .filter(|address| request.reach.admits(address.ip()))
            .take(MAX_ADDRESSES)
            .peekable();
        if admitted.peek().is_none() {
            return Err(NotSent::Forbidden(host_of(&request.url)).into());
        }
        let mut last = NotSent::Name(host_of(&request.url));
        for address in admitted {
            match self.attempt(&request, address).await {
                Err(TransportFault::NotSent(fault @ NotSent::Connect(_))) => last = fault,
                result => return result,
            }
        }
        Err(last.into())
    }

    /// How far inside the server of `url` lies. A name counts as inside only when all of its
    /// addresses do, and never as this machine: whoever owns a name may point it anywhere.
    pub async fn zone_of(&self, url: &Url) -> Zone {
        if is_this_machine(url) {
            return Zone::Host;
        }
        let literal = !matches!(url.host(), Some(Host::Domain(_)));
        let zones = self.addresses(url).await.unwrap_or_default();
        let nearest = zones.into_iter().map(|address| zone(address.ip())).min();
        let nearest = nearest.unwrap_or(Zone::Public);
        if literal {
            nearest
        } else {
            nearest.min(Zone::Private)
        }
    }

    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, NotSent> {
        let bad = || NotSent::Address(host_of(url));
        let port = url.port_or_known_default().ok_or_else(bad)?;
        match url.host().ok_or_else(bad)? {
            Host::Ipv4(address) => Ok(vec![(address, port).into()]),
            Host::Ipv6(address) => Ok(vec![(address, port).into()]),
            Host::Domain(name) => {
                let lookup = tokio::net::lookup_host((name, port));
                let found = match tokio::time::timeout(self.timeouts.connect, lookup).await {
                    Ok(Ok(found)) => found.collect(),
                    Ok(Err(_)) | Err(_) => Vec::new(),
                };
                if found.is_empty() {
                    return Err(NotSent::Name(name.to_owned()));
                }
                Ok(found)
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        address: SocketAddr,
    ) -> Result<Answer, TransportFault> {
        let client = self.own_client(&request.url)?;
        // awc counts the connection into this time. It must not end first: a connection that takes
        // too long was not sent anything, and awc says so only where its own limit ends it.
        let answer = request.answer.unwrap_or(self.timeouts.answer)
            + self.timeouts.connect
            + self.timeouts.handshake;
        let url = request.url.as_str();
        let method = awc::http::Method::from_bytes(request.method.as_str().as_bytes())
            .map_err(|_| NotSent::Address(host_of(&request.url)))?;
        let mut call = client.request(method, url).address(address).no_decompress();
        for (name, value) in &request.headers {
            call = call.insert_header((name.as_str(), value.as_bytes()));
        }

        let sent = self.clock.now();
        let exchange = async {
            let mut response = call.send_body(request.body.clone()).await.map_err(fault)?;
            let status = response.status().as_u16();
            if status < 200 {
                return Err(TransportFault::from(Lost::Interim(status)));
            }
            let headers = converted(response.headers());
            let mut body = BytesMut::new();
            if request.body_policy == BodyPolicy::Read {
                let old = response.version() == awc::http::Version::HTTP_10;
                check_framing(status, &headers, old)?;
                while let Some(chunk) = response.next().await {
                    let chunk = chunk.map_err(|_| Lost::Broken)?;
                    if body.len() + chunk.len() > request.limit {
                        return Err(Lost::TooLarge.into());
                    }
                    body.extend_from_slice(&chunk);
                }
                check_length(&headers, body.len())?;
            }
            Ok::<_, TransportFault>((status, headers, body.freeze()))
        };
        let (status, headers, body) = tokio::time::timeout(answer, exchange)
            .await
            .map_err(|_| Lost::TimedOut)??;
        Ok(Answer {
            status,
            headers,
            body,
            sent,
            received: self.clock.now(),
        })
    }

    /// The only place where an awc client is made.
    fn own_client(&self, url: &Url) -> Result<awc::Client, NotSent> {
        let mut connector = awc::Connector::new()
            .limit(0)
            .timeout(self.timeouts.connect)
            .handshake_timeout(self.timeouts.handshake);
        match &self.tls {
            Ok(config) => connector = connector.rustls_0_23(Arc::clone(config)),
            Err(fault) if url.scheme() == "https" => return Err(NotSent::Tls(fault.to_string())),
            Err(_) => {}
        }
        Ok(awc::ClientBuilder::new()
            .connector(connector)
            .disable_redirects()
            .no_default_headers()
            .disable_timeout()
            .finish())
    }
}

impl fmt::Debug for OwnClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnClient")
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
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

/// What awc says, conservatively: everything that is not certainly before the first byte counts
/// as sent.
fn fault(error: SendRequestError) -> TransportFault {
    match error {
        SendRequestError::Url(error) => NotSent::Address(error.to_string()).into(),
        SendRequestError::Connect(error) => connect_fault(error),
        SendRequestError::Timeout => Lost::TimedOut.into(),
        SendRequestError::Response(actix_web::error::ParseError::Io(_)) => Lost::Broken.into(),
        SendRequestError::Response(_) => Lost::Unreadable.into(),
        _ => Lost::Broken.into(),
    }
}

fn connect_fault(error: ConnectError) -> TransportFault {
    match error {
        ConnectError::Resolver(_) | ConnectError::NoRecords | ConnectError::Unresolved => {
            NotSent::Connect(error.to_string()).into()
        }
        ConnectError::Timeout => NotSent::Connect("no connection in time".to_owned()).into(),
        ConnectError::SslIsNotSupported => NotSent::Tls(error.to_string()).into(),
        ConnectError::Io(error) => {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
            match tls {
                Some(error) => NotSent::Tls(rustls::Error::to_string(error)).into(),
                None => NotSent::Connect(error.to_string()).into(),
            }
        }
        // awc's word for a connection that ended before the head of the answer.
        _ => Lost::Broken.into(),
    }
}

fn converted(headers: &awc::http::header::HeaderMap) -> HeaderMap {
    let mut converted = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            converted.append(name, value);
        }
    }
    converted
}

/// awc reads no body of an HTTP/1.1 answer that ends with its connection.
fn check_framing(status: u16, headers: &HeaderMap, old: bool) -> Result<(), Lost> {
    let framed = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    if framed || old || matches!(status, 204 | 304) {
        Ok(())
    } else {
        Err(Lost::Unframed)
    }
}

/// awc takes a body that was cut short for a whole one.
fn check_length(headers: &HeaderMap, got: usize) -> Result<(), Lost> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    match announced.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) if length != got => Err(Lost::Broken),
        _ => Ok(()),
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("an empty name").to_owned()
}

fn authority(url: &Url) -> String {
    let host = host_of(url);
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
