//! `auth.redirect`: where the browser comes back to.

use url::{Host, Url};

use crate::config::kinds::{Kind, text, word};
use crate::config::read::Wrong;
use crate::config::{LoopbackHost, Oauth, Redirect, Registered, Server};

/// One of the words, or the address that a client is registered with.
pub(super) const KIND: Kind<'static, Redirect> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        if written.contains("://") {
            return registered(&written).map(Redirect::Registered);
        }
        let words = [
            ("loopback", Which::Loopback),
            ("localhost", Which::Localhost),
            ("ephemeral", Which::Ephemeral),
            ("public", Which::Public),
        ];
        Ok(match word(node, &words)? {
            Which::Loopback => Redirect::Loopback,
            Which::Localhost => Redirect::Localhost,
            Which::Ephemeral => Redirect::Ephemeral,
            Which::Public => Redirect::Public,
        })
    },
};

#[derive(Clone, Copy)]
enum Which {
    Loopback,
    Localhost,
    Ephemeral,
    Public,
}

fn registered(written: &str) -> Result<Registered, Wrong> {
    const DEMAND: &str = "must be a word, or an address such as \"http://127.0.0.1:8765/callback\"";
    let wrong = |note: &str| Wrong::new(DEMAND, note);
    let url = Url::parse(written).map_err(|error| wrong(&error.to_string()))?;
    let host = match url.host() {
        Some(Host::Ipv4(ip)) if ip == std::net::Ipv4Addr::LOCALHOST => LoopbackHost::Address,
        Some(Host::Domain("localhost")) => LoopbackHost::Name,
        _ => return Err(wrong("the browser comes back to 127.0.0.1 or localhost")),
    };
    if url.scheme() != "http" {
        return Err(wrong("nothing on this machine answers https"));
    }
    let Some(port) = url.port().filter(|port| *port > 0) else {
        return Err(wrong(
            "it names no port; for any port there is \"ephemeral\"",
        ));
    };
    let bare = url.username().is_empty() && url.password().is_none();
    if !bare || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has no user, no query and no fragment"));
    }
    // Servers compare it character by character.
    if url.as_str() != written {
        return Err(wrong("browsers would write it in another way"));
    }
    Ok(Registered {
        uri: written.to_owned(),
        host,
        port,
        path: url.path().to_owned(),
    })
}

/// What is wrong with the redirect beside the other settings.
pub(super) fn misfit(oauth: &Oauth, server: &Server) -> Option<Wrong> {
    match &oauth.redirect {
        Redirect::Public if server.public_base_url.is_none() => {
            let note = "`server.public_base_url` is not set";
            Some(Wrong::new("has no address", note))
        }
        Redirect::Registered(place) if place.port == server.port => {
            let note = "this is doorward's own port: set `server.redirect_path` instead";
            Some(Wrong::new("must name another port", note))
        }
        Redirect::Registered(_) if oauth.redirect_per_upstream => {
            let note = "`redirect_per_upstream` would add to what is registered";
            Some(Wrong::new("does not fit", note))
        }
        _ => None,
    }
}
