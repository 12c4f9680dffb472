//! `proxy`: the way out.

use url::Url;

use crate::config::Proxy;
use crate::config::kinds::{Variables, text};
use crate::config::raw::{Node, Origin};
use crate::config::read::Wrong;

/// "env", "off", or the address of a proxy.
pub(super) fn proxy(node: &Node, variables: &Variables) -> Result<Proxy, Wrong> {
    match text(node)?.as_str() {
        "off" => Ok(Proxy::default()),
        "env" => {
            let of = |names: [&str; 2]| {
                let mut found = names.into_iter().filter_map(|name| variables.get(name));
                let found = found.find(|value| !value.is_empty());
                found.map(String::as_str).unwrap_or_default()
            };
            match of(NAMES) {
                "" => Ok(Proxy::default()),
                address => match address_of(address) {
                    Ok(address) => Ok(Proxy::through(address, of(["NO_PROXY", "no_proxy"]))),
                    // Told of by `variable`: a default has no place in the file to point at.
                    Err(_) if node.origin == Origin::Default => Ok(Proxy::default()),
                    Err(_) => Err(unusable()),
                },
            }
        }
        address => address_of(address).map(|address| Proxy::through(address, "")),
    }
}

const NAMES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];

/// What is wrong with the proxy of the environment.
pub(super) fn variable(variables: &Variables) -> Option<(&'static str, Wrong)> {
    let set = |name: &&str| variables.get(*name).is_some_and(|value| !value.is_empty());
    let name = NAMES.into_iter().find(set)?;
    address_of(&variables[name])
        .err()
        .map(|_| (name, unusable()))
}

fn unusable() -> Wrong {
    let note = "HTTPS_PROXY is set to something else than http://host:port";
    Wrong::new("cannot be used", note).help("write proxy = \"off\" below [defaults]")
}

/// An address with `http://`, which may be left out.
fn address_of(written: &str) -> Result<String, Wrong> {
    const DEMAND: &str = "must be \"env\", \"off\" or an address such as \"http://proxy:3128\"";
    let full = if written.contains("://") {
        written.to_owned()
    } else {
        format!("http://{written}")
    };
    match Url::parse(&full) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(full),
        Ok(url) if url.has_host() => {
            let note = format!("{} is no way to speak to a proxy here", url.scheme());
            Err(Wrong::new(DEMAND, note))
        }
        _ => Err(Wrong::new(DEMAND, "this is none")),
    }
}
