//! The way out of a network that lets nothing out but through a proxy: which connections go
//! through it, and the tunnel (`CONNECT`, RFC 9110 §9.3.6) that they go through. Everything that
//! is sent over TLS goes this way alike: discovery, registration, tokens and proxied calls. Plain
//! HTTP does not, since it is for this machine and networks of one's own.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;

/// How connections leave.
#[derive(Clone, Default)]
pub struct Egress(Option<Arc<Matcher>>);

/// A proxy, and what it wants to know of us.
#[derive(Clone)]
pub struct Proxy {
    address: Uri,
    credentials: Option<HeaderValue>,
}

impl Egress {
    /// Straight.
    pub fn direct() -> Self {
        Self(None)
    }

    /// Through the proxy at `address`, which may hold a user name and a password, save to the
    /// hosts of `exceptions`: a list as in `NO_PROXY`.
    pub fn through(address: &str, exceptions: &str) -> Self {
        let matcher = Matcher::builder().https(address).no(exceptions).build();
        Self(Some(Arc::new(matcher)))
    }

    /// The proxy for a TLS connection to `authority`, a host with or without a port. This machine
    /// is never behind one.
    pub fn proxy_for(&self, authority: &str) -> Option<Proxy> {
        let matcher = self.0.as_ref()?;
        let target = Uri::builder()
            .scheme("https")
            .authority(authority)
            .path_and_query("/")
            .build()
            .ok()?;
        if is_here(target.host()?) {
            return None;
        }
        let found = matcher.intercept(&target)?;
        Some(Proxy {
            address: found.uri().clone(),
            credentials: found.basic_auth().cloned(),
        })
    }
}

fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
    let address = host.parse::<std::net::IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
}

impl Proxy {
    /// Connections through it, whose ends `tcp` makes.
    pub fn tunnel(&self, tcp: HttpConnector) -> Tunnel<HttpConnector> {
        let tunnel = Tunnel::new(self.address.clone(), tcp);
        match &self.credentials {
            Some(credentials) => tunnel.with_auth(credentials.clone()),
            None => tunnel,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port_u16().unwrap_or(80);
        write!(f, "{}:{port}", self.address.host().unwrap_or_default())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Egress(proxy)"
        } else {
            "Egress(direct)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn px_env_proxy_loopback_excluded_as_the_exceptions_are() {
        let egress = Egress::through(
            "http://ana:pass%3Aword@proxy.example.com:3128",
            "intern.example.com, .corp.example.com, 10.0.0.0/8",
        );
        let proxy = |authority: &str| egress.proxy_for(authority);
        for outside in ["mcp.example.com", "mcp.example.com:8443", "192.0.2.1"] {
            let found = proxy(outside).expect("through the proxy");
            assert_eq!(found.to_string(), "proxy.example.com:3128");
            // ana:pass:word
            let credentials = found.credentials.expect("credentials");
            assert_eq!(credentials, "Basic YW5hOnBhc3M6d29yZA==");
        }
        for inside in [
            "intern.example.com",
            "a.corp.example.com:443",
            "10.1.2.3",
            "127.0.0.1:9",
            "localhost",
            "a.localhost:1",
            "[::1]:9",
        ] {
            assert!(proxy(inside).is_none(), "{inside}");
        }
        assert!(Egress::direct().proxy_for("mcp.example.com").is_none());
    }

    #[test]
    fn no_password_is_shown() {
        let egress = Egress::through("http://ana:secret@proxy.example.com", "");
        let proxy = egress.proxy_for("mcp.example.com");
        assert!(!format!("{egress:?} {proxy:?}").contains("secret"));
    }
}
