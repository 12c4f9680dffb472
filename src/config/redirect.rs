//! Where the provider sends the browser back to, which upstreams may have otherwise than usual.

use url::Url;

use super::{Redirect, Server, Upstream};

/// The origin of the pages that a browser sees during a sign-in at `upstream`, for a daemon that
/// is reached at `origin`; without a slash at the end. The link has to be on the host that the
/// browser comes back to, because its cookie belongs there.
pub fn pages_of(upstream: &Upstream, server: &Server, origin: &str) -> String {
    let redirect = upstream.auth.oauth().map(|oauth| oauth.redirect);
    match (redirect, &server.public_base_url) {
        (Some(Redirect::Public), Some(base)) => base.trim_end_matches('/').to_owned(),
        (Some(Redirect::Localhost), _) => by_name(origin).unwrap_or_else(|| origin.to_owned()),
        _ => origin.to_owned(),
    }
}

/// The redirect URI of `upstream`.
pub fn redirect_uri(upstream: &Upstream, server: &Server, origin: &str) -> String {
    let own = upstream
        .auth
        .oauth()
        .is_some_and(|oauth| oauth.redirect_per_upstream);
    let tail = if own {
        format!("/{}", upstream.name)
    } else {
        String::new()
    };
    pages_of(upstream, server, origin) + &server.redirect_path + &tail
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
        ] {
            assert_eq!(of(auth), uri, "{auth}");
        }
        assert_eq!(
            by_name("http://[::1]:9").as_deref(),
            Some("http://localhost:9")
        );
    }
}
