//! What must hold for every input of the parsers that read what others wrote: they end, they do
//! not panic, and what they say is sound. `fuzz/run` feeds them; the tests feed them the seeds.

#[cfg(test)]
mod tests;

use crate::config::{self, Inputs};
use crate::model::route::Base;
use crate::model::secret::SessionToken;
use crate::model::time::Timestamp;
use crate::oauth::{challenge, login, metadata, token};
pub use crate::web::proxy::fuzz::{comments, peek};

/// One parser under test.
pub type Target = fn(&[u8]);

/// All of them, by the name of their seeds.
pub const TARGETS: [(&str, Target); 9] = [
    ("challenge", challenge),
    ("metadata", documents),
    ("tokens", tokens),
    ("callback", callback),
    ("credential", credential),
    ("path", path),
    ("config", configuration),
    ("comments", comments),
    ("peek", peek),
];

/// `WWW-Authenticate`: names are in lower case, and only OAuth schemes are followed.
pub fn challenge(input: &[u8]) {
    let found = challenge::parse(&String::from_utf8_lossy(input));
    assert!(found.len() <= input.len());
    for challenge in &found {
        assert!(!challenge.scheme.is_empty());
        assert!(!challenge.scheme.contains(|c: char| c.is_ascii_uppercase()));
        let _ = challenge.scopes();
    }
    if let Some(followed) = challenge::to_follow(&found) {
        assert!(matches!(followed.scheme.as_str(), "bearer" | "dpop"));
    }
}

/// Metadata documents: nothing is an endpoint that the check did not admit.
pub fn documents(input: &[u8]) {
    if let Ok(resource) = metadata::ResourceMetadata::parse(input) {
        let endpoint = "https://h.example/mcp".parse().expect("a URL");
        let how = crate::oauth::ResourceMatch::Prefix;
        if resource.is_about(&endpoint, metadata::Retrieval::Path, how) {
            assert!(resource.resource.to_ascii_lowercase().contains("h.example"));
        }
    }
    let Ok(server) = metadata::RawServer::parse(input) else {
        return;
    };
    let fit = |url: &url::Url| url.scheme() == "https";
    if let Ok(server) = server.validate(fit) {
        assert!(fit(&server.authorization_endpoint) && fit(&server.token_endpoint));
        assert!(server.registration_endpoint.as_ref().is_none_or(fit));
        assert!(server.revocation_endpoint.as_ref().is_none_or(fit));
    }
}

/// Token answers: a token fits in a header, and an answer is never both an error and a success.
pub fn tokens(input: &[u8]) {
    let read = token::read_tokens(input, Timestamp::from_millis(0));
    if let Ok(tokens) = read {
        assert!(token::read_error(input).is_none());
        assert!(http::HeaderValue::from_str(tokens.access.expose()).is_ok());
        assert!(tokens.expires_in.is_none_or(|life| !life.is_zero()));
    }
    if let Some(told) = token::read_description(input) {
        assert!(!told.chars().any(char::is_control));
    }
}

/// Callback queries.
pub fn callback(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else {
        return;
    };
    let callback = login::Callback::parse(query);
    if let Some(state) = callback.state() {
        let named = url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "state" && value == state);
        assert!(named);
    }
}

/// Session credentials: what is well-formed is what would be made, and one digit makes another.
pub fn credential(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(id) = SessionToken::id_in(text) {
        assert!(SessionToken::is_well_formed(text));
        assert!(text.starts_with(&format!("dw_{}_", id.digits())));
    }
}

/// Path joining: what an agent adds never leaves the configured path, whoever decodes it.
pub fn path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (tail, query) = match text.split_once('?') {
        Some((tail, query)) => (tail, Some(query)),
        None => (text, None),
    };
    let base = Base::new("https://h.example/a/mcp").expect("a URL");
    let Ok(target) = base.target(tail, query, true) else {
        return;
    };
    assert!(target.path() == "/a/mcp" || target.path().starts_with("/a/mcp/"));
    let joined = format!("https://h.example{target}");
    if let Ok(seen) = url::Url::parse(&joined) {
        assert_eq!(seen.host_str(), Some("h.example"));
        assert!(seen.path().starts_with("/a/mcp"), "{joined} is {seen}");
    }
    assert!(base.target(tail, query, false).is_err() || matches!(tail, "" | "/"));
}

/// Configurations: a mistake is told with its place, and a good one says where everything is from.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match config::parse(text, &Inputs::default()) {
        Ok(loaded) => assert!(loaded.config.accounts().count() <= text.len()),
        Err(error) => assert!(!error.problem().message().is_empty()),
    }
}
