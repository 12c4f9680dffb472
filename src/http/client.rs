//! One request, one client, one bounded answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use bytes::BytesMut;
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use url::{Host, Url};

use super::address::{Zone, is_this_machine, zone};
use super::message::{Answer, BodyPolicy, Request, host_of};
use super::names::{self, Names};
use super::tls::TlsFault;
use super::{Lost, NotSent, TransportFault, tunnel};
use crate::clock::Clock;
use crate::egress::{Egress, Proxy};

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
    egress: Egress,
    names: Names,
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
            egress: Egress::direct(),
            names: names::of_system(),
        }
    }

    /// The same, with names looked up elsewhere.
    #[must_use]
    pub fn resolving(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// The same, by another way out.
    #[must_use]
    pub fn through(self, egress: Egress) -> Self {
        Self { egress, ..self }
    }

    /// The proxy on the way to `url`.
    fn proxy_for(&self, url: &Url) -> Option<Proxy> {
        let host = url.host_str().filter(|_| url.scheme() == "https")?;
        let port = url.port_or_known_default()?;
        self.egress.proxy_for(&format!("{host}:{port}"))
    }

    /// Sends the request once. Only an attempt that certainly reached nobody is followed by one
    /// at another address of the same name.
    pub async fn send(&self, request: Request) -> Result<Answer, TransportFault> {
        if let Some(proxy) = self.proxy_for(&request.url) {
            // What a name means is for the proxy to know; an address is judged as ever.
            let literal = match request.url.host() {
                Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
                Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
                _ => None,
            };
            if literal.is_some_and(|address| !request.reach.admits(address)) {
                return Err(NotSent::Forbidden(host_of(&request.url)).into());
            }
            return self.attempt(&request, Way::Through(proxy)).await;
        }
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
            match self.attempt(&request, Way::Straight(address)).await {
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
        if !literal && self.proxy_for(url).is_some() {
            return Zone::Public;
        }
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
                // Asked once: what is judged is what is connected to.
                let lookup = (self.names)(name.to_owned(), port);
                let found = tokio::time::timeout(self.timeouts.connect, lookup).await;
                let found = found.unwrap_or(Ok(Vec::new())).unwrap_or_default();
                if found.is_empty() {
                    return Err(NotSent::Name(name.to_owned()));
                }
                Ok(found)
            }
        }
    }

    async fn attempt(&self, request: &Request, way: Way) -> Result<Answer, TransportFault> {
        let (address, proxy) = match way {
            Way::Straight(address) => (Some(address), None),
            Way::Through(proxy) => (None, Some(proxy)),
        };
        let client = self.own_client(&request.url, proxy)?;
        // awc counts the connection into this time. It must not end first: a connection that takes
        // too long was not sent anything, and awc says so only where its own limit ends it.
        let answer = request.answer.unwrap_or(self.timeouts.answer)
            + self.timeouts.connect
            + self.timeouts.handshake;
        let url = request.url.as_str();
        let method = awc::http::Method::from_bytes(request.method.as_str().as_bytes())
            .map_err(|_| NotSent::Address(host_of(&request.url)))?;
        let mut call = client.request(method, url).no_decompress();
        if let Some(address) = address {
            call = call.address(address);
        }
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
    fn own_client(&self, url: &Url, proxy: Option<Proxy>) -> Result<awc::Client, NotSent> {
        let mut connector = awc::Connector::new()
            .limit(0)
            .timeout(self.timeouts.connect)
            .handshake_timeout(self.timeouts.handshake);
        match &self.tls {
            Ok(config) => connector = connector.rustls_0_23(Arc::clone(config)),
            Err(fault) if url.scheme() == "https" => return Err(NotSent::Tls(fault.to_string())),
            Err(_) => {}
        }
        let builder = awc::ClientBuilder::new()
            .disable_redirects()
            .no_default_headers()
            .disable_timeout();
        Ok(match proxy {
            None => builder.connector(connector).finish(),
            Some(proxy) => builder
                .connector(connector.connector(tunnel::through(proxy)))
                .finish(),
        })
    }
}

/// How a server is reached.
enum Way {
    /// At this address.
    Straight(SocketAddr),
    /// By its name, which the proxy resolves.
    Through(Proxy),
}

impl fmt::Debug for OwnClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnClient")
            .field("timeouts", &self.timeouts)
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
