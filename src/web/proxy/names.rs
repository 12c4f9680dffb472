//! The names of fields. The two sides of the proxy hold them in types of their own; those that most
//! messages have are looked up in place of being written out, judged and read again.

use actix_web::http::header as local;
use http::header::{self, HeaderName};

use crate::model::route;

/// Names that pass in both directions, as either side has them.
static COMMON: [(local::HeaderName, HeaderName); 20] = [
    (local::ACCEPT, header::ACCEPT),
    (local::ACCEPT_ENCODING, header::ACCEPT_ENCODING),
    (local::ACCEPT_LANGUAGE, header::ACCEPT_LANGUAGE),
    (local::CACHE_CONTROL, header::CACHE_CONTROL),
    (local::CONTENT_ENCODING, header::CONTENT_ENCODING),
    (local::CONTENT_TYPE, header::CONTENT_TYPE),
    (local::DATE, header::DATE),
    (local::ETAG, header::ETAG),
    of("last-event-id"),
    of("mcp-method"),
    of("mcp-name"),
    of("mcp-protocol-version"),
    of("mcp-session-id"),
    (local::SERVER, header::SERVER),
    of("traceparent"),
    of("tracestate"),
    (local::USER_AGENT, header::USER_AGENT),
    (local::VARY, header::VARY),
    of("x-accel-buffering"),
    of("x-request-id"),
];

const fn of(name: &'static str) -> (local::HeaderName, HeaderName) {
    (
        local::HeaderName::from_static(name),
        HeaderName::from_static(name),
    )
}

/// Where in [`COMMON`] a name is. Told by its length and its letters at once, which is quicker than
/// to compare it with one after the other.
fn common(name: &str) -> Option<&'static (local::HeaderName, HeaderName)> {
    let at = match name {
        "accept" => 0,
        "accept-encoding" => 1,
        "accept-language" => 2,
        "cache-control" => 3,
        "content-encoding" => 4,
        "content-type" => 5,
        "date" => 6,
        "etag" => 7,
        "last-event-id" => 8,
        "mcp-method" => 9,
        "mcp-name" => 10,
        "mcp-protocol-version" => 11,
        "mcp-session-id" => 12,
        "server" => 13,
        "traceparent" => 14,
        "tracestate" => 15,
        "user-agent" => 16,
        "vary" => 17,
        "x-accel-buffering" => 18,
        "x-request-id" => 19,
        _ => return None,
    };
    COMMON.get(at)
}

/// The name of an agent's field as the upstream's side has it; `None` where it does not pass.
pub(super) fn to_upstream(name: &local::HeaderName) -> Option<HeaderName> {
    let name = name.as_str();
    if let Some((_, theirs)) = common(name) {
        return Some(theirs.clone());
    }
    let passes = route::to_upstream(name);
    // Both sides hold to the grammar of RFC 9110 §5.1, so this does not fail.
    passes.then(|| HeaderName::from_bytes(name.as_bytes()).ok())?
}

/// The name of an upstream's field as the agent's side has it; `None` where it does not pass.
pub(super) fn to_agent(name: &HeaderName) -> Option<local::HeaderName> {
    let name = name.as_str();
    if let Some((ours, _)) = common(name) {
        return Some(ours.clone());
    }
    let passes = route::to_agent(name);
    passes.then(|| local::HeaderName::from_bytes(name.as_bytes()).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_looked_up_passes_in_both_directions_under_one_name() {
        for (ours, theirs) in &COMMON {
            assert_eq!(ours.as_str(), theirs.as_str());
            let name = ours.as_str();
            assert!(route::to_upstream(name) && route::to_agent(name), "{name}");
            let found = common(name).map(|(ours, _)| ours.as_str());
            assert_eq!(found, Some(name));
        }
    }

    proptest! {
        #[test]
        fn a_name_stays_what_it_is(
            name in "[a-z][a-z0-9-]{0,20}|authorization|dpop|host|set-cookie|mcp-name|vary|etags",
        ) {
            let (ours, theirs) = (
                local::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            );
            let passes = route::to_upstream(&name).then_some(theirs.clone());
            prop_assert_eq!(to_upstream(&ours), passes);
            let passes = route::to_agent(&name).then_some(ours);
            prop_assert_eq!(to_agent(&theirs), passes);
        }
    }
}
