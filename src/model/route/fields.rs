//! Which header fields pass, by name: the table "Headers on the proxied path" of the protocol
//! checklist. Names are compared in lower case, as header maps hold them; values are never read
//! here, except that of `Connection`.

/// The fields that one message's `Connection` names: they concern this hop only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named(Vec<String>);

impl Named {
    /// Whether `name` is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|named| named == name)
    }
}

/// Reads the values of `Connection`. What is dropped anyway is not listed, so that the common
/// case costs nothing.
pub fn named_by_connection<'a>(values: impl Iterator<Item = &'a [u8]>) -> Named {
    let mut named = Vec::new();
    for value in values {
        for option in value.split(|b| *b == b',') {
            let option = String::from_utf8_lossy(option.trim_ascii());
            if option.eq_ignore_ascii_case("keep-alive") || option.eq_ignore_ascii_case("close") {
                continue;
            }
            let option = option.to_ascii_lowercase();
            if !option.is_empty() && !this_hop(&option) {
                named.push(option);
            }
        }
    }
    Named(named)
}

/// Whether a field of a request goes to the upstream. The credential, `Host` and the framing
/// are set anew, `Via` grows by one.
pub fn to_upstream(name: &str) -> bool {
    if this_hop(name) {
        return false;
    }
    let replaced = matches!(
        name,
        "authorization" | "dpop" | "cookie" | "host" | "content-length" | "expect"
    );
    let tells_of_here = matches!(name, "origin" | "referer" | "forwarded")
        || name.starts_with("sec-fetch-")
        || name.starts_with("x-forwarded-")
        || name.starts_with("doorward-");
    !replaced && !tells_of_here
}

/// Whether a field of an answer goes to the agent.
pub fn to_agent(name: &str) -> bool {
    if this_hop(name) {
        return false;
    }
    let credential = matches!(
        name,
        "authorization" | "dpop" | "dpop-nonce" | "www-authenticate" | "set-cookie" | "set-cookie2"
    );
    let acts_on_this_origin = matches!(
        name,
        "strict-transport-security" | "alt-svc" | "clear-site-data"
    ) || name.starts_with("access-control-");
    let ours = name == "content-length" || name.starts_with("doorward-");
    !credential && !acts_on_this_origin && !ours
}

/// Fields of one connection (RFC 9110 §7.6.1), and those of an HTTP proxy.
fn this_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    ) || name.starts_with("proxy-")
}
