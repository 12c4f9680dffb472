//! Where metadata lives: the well-known URLs of a resource (RFC 9728 §3.1) and of an issuer
//! (RFC 8414 §3.1, OpenID Connect Discovery §4), and the canonical form of a resource.

use url::{Host, Url};

/// Whether a person's browser may be sent there: https, or http on this machine.
pub fn fit_for_browser(url: &Url) -> bool {
    is_secure(url) && url.host().is_some()
}

/// https, or http to a loopback literal or `localhost`.
pub fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the host is this machine by its very name.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_loopback())
        }
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}
