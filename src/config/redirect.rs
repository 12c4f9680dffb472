//! Where the provider sends the browser back to, which upstreams may have otherwise than usual.

use url::Url;

use super::{LoopbackHost, Redirect, Registered, Server, Upstream};

/// The origin of the pages that a browser sees during a sign-in at `upstream`, for a daemon that
/// is reached at `origin`; without a slash at the end. The link has to be on the host that the
/// browser comes back to, because its cookie belongs there.
pub fn pages_of(upstream: &Upstream, server: &Server, origin: &str) -> String {
    let redirect = upstream.auth.oauth().map(|oauth| &oauth.redirect);
    let named = || by_name(origin).unwrap_or_else(|| origin.to_owned());
    match (redirect, &server.public_base_url) {
        (Some(Redirect::Public), Some(base)) => base.trim_end_matches('/').to_owned(),
        (Some(Redirect::Localhost), _) => named(),
        (Some(Redirect::Registered(place)), _) if place.host == LoopbackHost::Name => named(),
        _ => origin.to_owned(),
    }
}

/// The redirect URI of `upstream`; without a port where each sign-in has one of its own.
pub fn redirect_uri(upstream: &Upstream, server: &Server, origin: &str) -> String {
    match upstream.auth.oauth().map(|oauth| &oauth.redirect) {
        Some(Redirect::Registered(place)) => place.uri.clone(),
        Some(Redirect::Ephemeral) => {
            let host = LoopbackHost::Address.as_str();
            format!("http://{host}{}", path_of(upstream, server))
        }
        _ => pages_of(upstream, server, origin) + &path_of(upstream, server),
    }
}

/// Where a sign-in at `upstream` ends, where that is not at the agent port.
pub fn landing(upstream: &Upstream, server: &Server) -> Option<LandingPlan> {
    match &upstream.auth.oauth()?.redirect {
        Redirect::Loopback | Redirect::Localhost | Redirect::Public => None,
        Redirect::Ephemeral => Some(LandingPlan {
            host: LoopbackHost::Address,
            path: path_of(upstream, server),
            registered: None,
        }),
        Redirect::Registered(place) => Some(LandingPlan {
            host: place.host,
            path: place.path.clone(),
            registered: Some(place.clone()),
        }),
    }
}

/// A place on loopback that is opened for the time of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingPlan {
    /// How its URI names this machine.
    pub host: LoopbackHost,
    /// The path of its URI.
    pub path: String,
    /// The address that comes first, where the client is registered with one.
    pub registered: Option<Registered>,
}

impl LandingPlan {
    /// Its URI at `port`.
    pub fn uri(&self, port: u16) -> String {
        match &self.registered {
            Some(place) if place.port == port => place.uri.clone(),
            _ => format!("http://{}:{port}{}", self.host.as_str(), self.path),
        }
    }

    /// The port of `uri`, if it is one that differs in nothing else.
    pub fn port_of(&self, uri: &str) -> Option<u16> {
        let port = Url::parse(uri).ok()?.port()?;
        (self.uri(port) == uri).then_some(port)
    }
}

fn path_of(upstream: &Upstream, server: &Server) -> String {
    let own = upstream
        .auth
        .oauth()
        .is_some_and(|oauth| oauth.redirect_per_upstream);
    if own {
        format!("{}/{}", server.redirect_path, upstream.name)
    } else {
        server.redirect_path.clone()
    }
}

/// The same place, by the name that every machine has for itself.
fn by_name(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok()?;
    let port = url.port().map(|port| format!(":{port}"));
    Some(format!(
        "{}://localhost{}",
        url.scheme(),
        port.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Inputs, parse};

    fn of(auth: &str) -> String {
        let text = format!(
            "[server]\npublic_base_url = \"https://me.example\"\n\
             [upstreams.up]\nurl = \"https://h/\"\nauth = {{ kind = \"oauth\"{auth} }}\n"
        );
        let inputs = Inputs {
            file: PathBuf::from("config.toml"),
            ..Inputs::default()
        };
        let config = parse(&text, &inputs).expect("a configuration").config;
        let upstream = config.upstream("up").expect("it is there");
        if let Some(plan) = landing(upstream, &config.server) {
            assert_eq!(plan.port_of(&plan.uri(41000)), Some(41000));
            assert_eq!(plan.port_of("http://127.0.0.1:41000/elsewhere"), None);
            assert_eq!(plan.port_of("https://id.example/oauth/callback"), None);
        }
        redirect_uri(upstream, &config.server, "http://127.0.0.1:5177")
    }

    #[test]
    fn an_upstream_may_have_another_host_and_a_path_of_its_own() {
        for (auth, uri) in [
            ("", "http://127.0.0.1:5177/oauth/callback"),
            (
                ", redirect = \"localhost\"",
                "http://localhost:5177/oauth/callback",
            ),
            (
                ", redirect = \"public\"",
                "https://me.example/oauth/callback",
            ),
            (
                ", redirect_per_upstream = true",
                "http://127.0.0.1:5177/oauth/callback/up",
            ),
            (
                ", redirect = \"ephemeral\"",
                "http://127.0.0.1/oauth/callback",
            ),
            (
                ", redirect = \"http://localhost:8765/cb\"",
                "http://localhost:8765/cb",
            ),
        ] {
            assert_eq!(of(auth), uri, "{auth}");
        }
        assert_eq!(
            by_name("http://[::1]:9").as_deref(),
            Some("http://localhost:9")
        );
    }
}
