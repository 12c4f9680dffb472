//! The `endpoint` event of the HTTP+SSE transport (MCP 2024-11-05, transports): the first event of
//! a stream tells where its client posts to. Clients refuse an address of another origin than the
//! stream's, and so do we; what is left is rewritten to an address of ours.

use std::ops::Range;

use http::uri::PathAndQuery;
use url::Url;

/// The longest beginning of a stream in which its first event has to be.
pub const LONGEST_FIRST_EVENT: usize = 16 << 10;

/// What is known of the first event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// It has not come to its end.
    Unfinished,
    /// It names an endpoint.
    Endpoint {
        /// Where the name of the endpoint is in the stream.
        at: Range<usize>,
    },
    /// It is something else.
    Other,
}

/// Why an endpoint is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It is no address.
    #[error("its endpoint is not an address")]
    NoAddress,
    /// It is at another origin than the stream: a credential does not go there.
    #[error("its endpoint is at {0}, and a credential is sent to the configured origin only")]
    Elsewhere(String),
}

/// Looks for the first event at the beginning of a stream. Comments and `retry` before it are
/// passed over (WHATWG HTML §9.2.6).
pub fn first_event(stream: &[u8]) -> First {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut at = if stream.starts_with(MARK) {
        MARK.len()
    } else {
        0
    };
    let (mut endpoint, mut data) = (false, None);
    while let Some(length) = memchr::memchr2(b'\r', b'\n', &stream[at..]) {
        let line = at..at + length;
        at = line.end + 1;
        if stream[line.end] == b'\r' && stream.get(at) == Some(&b'\n') {
            at += 1;
        }
        let (name, value) = field(stream, line.clone());
        match name {
            _ if line.is_empty() => match data.take() {
                Some(at) if endpoint => return First::Endpoint { at },
                Some(_) => return First::Other,
                // An event without data is none, whatever it is called.
                None => endpoint = false,
            },
            b"event" => endpoint = &stream[value] == b"endpoint",
            // An address has no line ends in it.
            b"data" if data.is_some() => return First::Other,
            b"data" => data = Some(value),
            _ => {}
        }
    }
    First::Unfinished
}

/// The name of a line's field and where its value is.
fn field(stream: &[u8], line: Range<usize>) -> (&[u8], Range<usize>) {
    let text = &stream[line.clone()];
    let Some(colon) = memchr::memchr(b':', text) else {
        return (text, line.end..line.end);
    };
    let space = usize::from(text.get(colon + 1) == Some(&b' '));
    (&text[..colon], line.start + colon + 1 + space..line.end)
}

/// What `endpoint` means to a client of the stream at `stream`, if it is at the same origin.
pub fn target_of(stream: &Url, endpoint: &[u8]) -> Result<PathAndQuery, BadEndpoint> {
    let text = std::str::from_utf8(endpoint).map_err(|_| BadEndpoint::NoAddress)?;
    let url = stream.join(text).map_err(|_| BadEndpoint::NoAddress)?;
    let bare = url.username().is_empty() && url.password().is_none();
    if url.origin() != stream.origin() || !bare {
        return Err(BadEndpoint::Elsewhere(url.origin().ascii_serialization()));
    }
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    path.parse().map_err(|_| BadEndpoint::NoAddress)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(stream: &str) -> Option<&str> {
        match first_event(stream.as_bytes()) {
            First::Endpoint { at } => Some(&stream[at]),
            First::Unfinished | First::Other => None,
        }
    }

    #[test]
    fn the_endpoint_is_found_whatever_the_lines_end_with() {
        for stream in [
            "event: endpoint\ndata: /m?s=1\n\n",
            "event:endpoint\r\ndata:/m?s=1\r\n\r\nevent: message\r\ndata: x\r\n\r\n",
            "\u{feff}: hello\n\nretry: 3000\n\nid: 7\rdata: /m?s=1\revent: endpoint\r\r",
        ] {
            assert_eq!(endpoint(stream), Some("/m?s=1"), "{stream:?}");
        }
        for part in [
            "",
            "event: endpoint\n",
            "event: endpoint\ndata: /m\n",
            ": x\n\n",
        ] {
            assert_eq!(first_event(part.as_bytes()), First::Unfinished, "{part:?}");
        }
        for other in [
            "event: message\ndata: {}\n\n",
            "data: /m\n\n",
            "event: endpoint\ndata: /m\ndata: /n\n\n",
        ] {
            assert_eq!(first_event(other.as_bytes()), First::Other, "{other:?}");
        }
    }

    #[test]
    fn an_endpoint_of_another_origin_is_refused() {
        let stream = Url::parse("https://h.example/a/sse?tenant=1").expect("a URL");
        let target = |endpoint: &str| target_of(&stream, endpoint.as_bytes());
        for (endpoint, path) in [
            ("/messages/?session_id=1", "/messages/?session_id=1"),
            ("post?s=1", "/a/post?s=1"),
            ("?s=1", "/a/sse?s=1"),
            ("https://h.example:443/m#x", "/m"),
        ] {
            assert_eq!(
                target(endpoint),
                Ok(path.parse().expect("a path")),
                "{endpoint}"
            );
        }
        for endpoint in [
            "https://evil.example/m",
            "//evil.example/m",
            "http://h.example/m",
            "https://h.example:444/m",
            "https://u:p@h.example/m",
            "\\\\evil.example/m",
            "javascript:alert(1)",
        ] {
            let refused = target(endpoint);
            assert!(
                matches!(refused, Err(BadEndpoint::Elsewhere(_))),
                "{endpoint}: {refused:?}"
            );
        }
        assert_eq!(target("https://"), Err(BadEndpoint::NoAddress));
        assert_eq!(target_of(&stream, b"/\xff"), Err(BadEndpoint::NoAddress));
    }

    proptest! {
        #[test]
        fn whatever_comes_what_is_found_lies_in_it(
            text in "(event: ?endpoint|data: ?/m|data|id: 1|:|x|\r|\n|\r\n){0,12}",
        ) {
            if let First::Endpoint { at } = first_event(text.as_bytes()) {
                prop_assert!(text.get(at.clone()).is_some());
                prop_assert!(text[..at.start].contains("data"));
            }
        }
    }
}
