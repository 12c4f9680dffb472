//! Who may ask at all. A page in a browser on this machine can reach the port, and a name that
//! points to loopback brings its own origin with it (DNS rebinding): address, origin and fetch
//! metadata are looked at before anything else, on every route.

use std::net::SocketAddr;

use actix_web::dev::RequestHead;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN, UPGRADE,
};
use actix_web::http::{Method, uri::Authority};

use crate::model::catalogue::{Code, Problem};
use crate::model::secret::TokenDigest;

// Names as text are parsed at every look, so these are made once.
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The field of a credential whose sender needs `Authorization` for something else.
static CREDENTIAL: HeaderName = HeaderName::from_static("doorward-session");

/// The addresses that are ours and the pages that may ask.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Doors {
    /// Names of this machine at the port of `local`, and what is configured: `hosts` with a port
    /// of their own or ours, `origins` in full.
    pub fn new(local: SocketAddr, hosts: &[String], origins: &[String]) -> Self {
        let port = local.port();
        let own = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        let bound = match local.ip() {
            ip if ip.is_unspecified() => None,
            std::net::IpAddr::V4(ip) => Some(ip.to_string()),
            std::net::IpAddr::V6(ip) => Some(format!("[{ip}]")),
        };
        let mut doors = Self::default();
        for name in own.iter().chain(&bound).chain(hosts) {
            let name = name.to_ascii_lowercase();
            let has_port = name.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.ends_with(':') && port.parse::<u16>().is_ok()
            }) && (!name.starts_with('[') || name.contains("]:"));
            if has_port {
                doors.hosts.push(name);
            } else {
                if port == 80 {
                    doors.hosts.push(name.clone());
                }
                doors.hosts.push(format!("{name}:{port}"));
            }
        }
        // Loopback is among the names of every machine, and is bound to as well.
        let mut seen = std::collections::BTreeSet::new();
        doors.hosts.retain(|host| seen.insert(host.clone()));
        doors.origins = doors
            .hosts
            .iter()
            .map(|host| format!("http://{host}"))
            .chain(origins.iter().map(|origin| origin.to_ascii_lowercase()))
            .collect();
        doors
    }

    /// Adds the address under which people reach us, where it is another one.
    pub fn add_base(&mut self, url: &str) {
        let base = url.trim_end_matches('/').to_ascii_lowercase();
        if let Some((_, authority)) = base.split_once("://") {
            if !self.has_host(authority) {
                self.hosts.push(authority.to_owned());
            }
            self.origins.push(base);
        }
    }

    fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    fn has_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|own| own == origin)
    }
}

/// Why a request is refused before it is looked at further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is said about it.
    pub problem: Box<Problem>,
    /// With which status, where that is not the one of the catalogue.
    pub status: Option<u16>,
}

impl Refusal {
    fn new(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            status: None,
        }
    }

    fn bad(detail: &str) -> Self {
        Self::new(Problem::new(Code::BadRequest).with("detail", detail))
    }
}

/// Looks at where a request comes from. `from_elsewhere` is true for the one page that other
/// sites lead browsers to.
pub fn look(doors: &Doors, head: &RequestHead, from_elsewhere: bool) -> Result<(), Refusal> {
    check_host(doors, head)?;
    let mut origins = head.headers().get_all(ORIGIN);
    if let Some(origin) = origins.next() {
        let ours = origin.to_str().is_ok_and(|origin| doors.has_origin(origin));
        if !ours || origins.next().is_some() {
            let shown = String::from_utf8_lossy(origin.as_bytes());
            return Err(Refusal::new(
                Problem::new(Code::OriginNotAllowed).with("origin", shown),
            ));
        }
    }
    let site = head.headers().get(&FETCH_SITE);
    let foreign = site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let visiting = from_elsewhere
        && head.method == Method::GET
        && head
            .headers()
            .get("sec-fetch-mode")
            .is_none_or(|mode| mode.as_bytes() == b"navigate");
    if foreign && !visiting {
        return Err(Refusal::new(
            Problem::new(Code::OriginNotAllowed)
                .because("a page of another site caused this request"),
        ));
    }
    if head.method == Method::CONNECT || asks_for_websocket(head.headers()) {
        let mut refusal = Refusal::bad("protocols are not switched and tunnels not opened here");
        refusal.status = Some(501);
        return Err(refusal);
    }
    Ok(())
}

fn check_host(doors: &Doors, head: &RequestHead) -> Result<(), Refusal> {
    let mut hosts = head.headers().get_all(HOST);
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::bad("a request has exactly one Host field"));
    };
    let host = host.to_str().unwrap_or_default();
    // Ours are well formed.
    let is_ours = doors.has_host(host);
    if !is_ours && (host.parse::<Authority>().is_err() || host.contains('@')) {
        return Err(Refusal::bad("the Host field is malformed"));
    }
    // A target in absolute form overrides Host (RFC 9112 §3.2.2): neither may be foreign.
    let target = head.uri.authority().map(Authority::as_str);
    let foreign = (!is_ours).then_some(host);
    for name in [foreign, target].into_iter().flatten() {
        if !doors.has_host(name) {
            return Err(Refusal::new(
                Problem::new(Code::HostNotAllowed)
                    .with("host", name)
                    .with("list", doors.hosts.join(", ")),
            ));
        }
    }
    Ok(())
}

/// `Upgrade` may be ignored (RFC 9110 §7.8), and Java's HTTP client sends `h2c` on every first
/// request; a WebSocket handshake is refused, for nothing that follows it is HTTP.
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    })
}

/// Whether the endpoint of an upstream takes this method.
pub fn is_proxied(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::GET | Method::DELETE)
}

/// Whether the body is declared as JSON: what a web page can send without asking first is not.
pub fn has_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let kind = value.as_bytes().split(|b| *b == b';').next();
        kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    })
}

/// The local credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// None.
    Nothing,
    /// One, of our form or not.
    Credential {
        /// The key of its session.
        digest: TokenDigest,
        /// Whether it begins as ours do.
        ours: bool,
    },
}

/// Reads the local credential: `Doorward-Session`, else `Authorization: Bearer`.
pub fn presented(headers: &HeaderMap) -> Result<Presented, Refusal> {
    let only = |name: &HeaderName| {
        let mut values = headers.get_all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::bad("a credential is sent once"));
        }
        Ok(first)
    };
    let authorization = only(&AUTHORIZATION)?;
    let token = match only(&CREDENTIAL)? {
        Some(value) => Some(value.as_bytes()),
        None => authorization.and_then(|value| {
            let (scheme, token) = value.as_bytes().split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        }),
    };
    Ok(match token.map(<[u8]>::trim_ascii) {
        None | Some(b"") => Presented::Nothing,
        Some(token) => Presented::Credential {
            digest: TokenDigest::of(token),
            ours: token.starts_with(b"dw_"),
        },
    })
}
