//! Where a request goes and which of its header fields go with it. The configured URL is used
//! exactly as written; a path from an agent may add to it where that is allowed, and nothing that
//! an agent sends can leave it.

use std::sync::Arc;

use http::uri::PathAndQuery;
use url::Url;

mod fields;
#[cfg(test)]
mod tests;

pub use fields::{Named, named_by_connection, to_agent, to_upstream};

/// The configured URL of an upstream, taken apart once.
#[derive(Clone, Debug)]
pub struct Base {
    origin: Arc<Origin>,
    whole: PathAndQuery,
}

/// A server that connections are made to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether it is spoken to over TLS.
    pub secure: bool,
    /// `host` or `host:port` as it is sent in `Host`.
    pub authority: String,
}

/// A URL cannot be used as that of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBase {
    /// Neither `http` nor `https`.
    #[error("an upstream URL starts with https:// or http://")]
    Scheme,
    /// No host.
    #[error("an upstream URL names a host")]
    Host,
    /// User and password in the URL.
    #[error("an upstream URL carries no user name and no password")]
    Userinfo,
    /// A path that cannot be sent.
    #[error("the path of the upstream URL cannot be sent")]
    Path,
}

/// Why a path is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTail {
    /// Only the configured endpoint is exposed.
    #[error("only the endpoint itself is reached through doorward")]
    NotAllowed,
    /// The path could be read as leaving the configured one.
    #[error("the path has dot segments, empty segments or hidden separators")]
    Leaves,
}

impl Base {
    /// Takes `url` apart. `written` is its text as configured: path and query are kept to the
    /// letter where they can be sent.
    pub fn new(written: &str) -> Result<Self, BadBase> {
        let url = Url::parse(written).map_err(|_| BadBase::Host)?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(BadBase::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadBase::Userinfo);
        }
        let host = url.host_str().ok_or(BadBase::Host)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let whole = as_written(written)
            .map_or_else(|| from_url(&url).parse(), str::parse)
            .or_else(|_| from_url(&url).parse())
            .map_err(|_| BadBase::Path)?;
        Ok(Self {
            origin: Arc::new(Origin { secure, authority }),
            whole,
        })
    }

    /// The server.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The path, always starting with a slash.
    pub fn path(&self) -> &str {
        self.whole.path()
    }

    /// The target of a request whose path continued with `tail` after the route's own part.
    ///
    /// An empty tail, or a lone slash, leaves the base as it is. A query of the agent's follows
    /// the one that is configured.
    pub fn target(
        &self,
        tail: &str,
        query: Option<&str>,
        sub_paths: bool,
    ) -> Result<PathAndQuery, BadTail> {
        let deeper = !tail.is_empty() && tail != "/";
        if !deeper && query.is_none() {
            return Ok(self.whole.clone());
        }
        let mut text = self.path().to_owned();
        if deeper {
            if !sub_paths {
                return Err(BadTail::NotAllowed);
            }
            if !stays_inside(tail) {
                return Err(BadTail::Leaves);
            }
            if text.ends_with('/') {
                text.pop();
            }
            text.push_str(tail);
        }
        let mut mark = '?';
        for part in [self.whole.query(), query].into_iter().flatten() {
            text.push(mark);
            text.push_str(part);
            mark = '&';
        }
        text.parse().map_err(|_| BadTail::Leaves)
    }
}

/// Path and query of a URL text, where it has a path.
fn as_written(written: &str) -> Option<&str> {
    let (_, rest) = written.split_once("://")?;
    let start = rest.find(['/', '?', '#'])?;
    let path = rest[start..].split('#').next()?;
    let plain = path.split('?').next()?;
    // What a URL parser would rewrite is taken in the form that the parser gives it.
    (path.starts_with('/') && plain.split('/').skip(1).all(is_plain)).then_some(path)
}

fn from_url(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// Whether `tail` starts with a slash and no reading of it, decoded however often, has a dot
/// segment, an empty segment before its end, or a separator in disguise.
fn stays_inside(tail: &str) -> bool {
    let Some(path) = tail.strip_prefix('/') else {
        return false;
    };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if (segment.is_empty() && !last) || !is_plain(segment) {
            return false;
        }
    }
    true
}

/// How often a segment is decoded. One that is encoded more often than four times is nobody's
/// honest path, and would be work without end.
const DECODINGS: usize = 5;

/// Whether a segment means itself to every server: after any number of decodings it has no
/// separator and no control character, and it is no dot segment, with or without parameters.
fn is_plain(segment: &str) -> bool {
    let mut bytes = segment.as_bytes().to_vec();
    for _ in 0..DECODINGS {
        let sound = bytes
            .iter()
            .all(|b| !matches!(b, b'/' | b'\\' | b'?' | b'#') && !b.is_ascii_control());
        let name = bytes.split(|b| *b == b';').next().unwrap_or_default();
        if !sound || name == b"." || name == b".." {
            return false;
        }
        let decoded = percent_decode(&bytes);
        if decoded == bytes {
            return true;
        }
        bytes = decoded;
    }
    false
}

/// One round of percent decoding; what is no escape stays as it is.
fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let hex = |b: u8| char::from(b).to_digit(16);
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if let (b'%', [high, low, after @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            // Two hexadecimal digits make at most 255.
            out.push(u8::try_from(high * 16 + low).unwrap_or(u8::MAX));
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}
