//! The one thing that is read from an upstream's challenge on the data path: what it complains
//! about. The challenge itself never goes on.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// The parameter `name` of the first challenge that has it.
pub(super) fn parameter(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|challenge| find(challenge, name))
}

fn find(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    while let Some((before, after)) = rest.split_once('=') {
        let key = before
            .rsplit([' ', ',', '\t'])
            .find(|word| !word.is_empty());
        let (value, next) = value(after.trim_start());
        if key.is_some_and(|key| key.eq_ignore_ascii_case(name)) {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_among_others() {
        let text = r#"Bearer realm="a, scope=b", error="insufficient_scope" , scope="files:read x\"y", resource_metadata=https://x/y"#;
        assert_eq!(find(text, "error").as_deref(), Some("insufficient_scope"));
        assert_eq!(find(text, "scope").as_deref(), Some("files:read x\"y"));
        assert_eq!(
            find(text, "resource_metadata").as_deref(),
            Some("https://x/y")
        );
        assert_eq!(find("Bearer", "error"), None);
        assert_eq!(
            find("Bearer error=\"open", "error").as_deref(),
            Some("open")
        );
    }
}
