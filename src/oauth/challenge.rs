//! `WWW-Authenticate` (RFC 9110 §11.6.1): several fields, several challenges in a field, tokens
//! and quoted strings, and the many ways in which servers get it slightly wrong. Reads anything,
//! fails on nothing.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, in lower case.
    pub scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter, by its name in lower case; the first where it is repeated.
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The `scope` parameter as a list; `None` where there is none.
    pub fn scopes(&self) -> Option<Vec<String>> {
        let scopes: Vec<String> = self
            .param("scope")?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        (!scopes.is_empty()).then_some(scopes)
    }

    fn is_oauth(&self) -> bool {
        matches!(self.scheme.as_str(), "bearer" | "dpop")
    }
}

/// All challenges of an answer, in order.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .flat_map(|field| parse(&String::from_utf8_lossy(field.as_bytes())))
        .collect()
}

/// The challenge to follow: a Bearer or `DPoP` one with a pointer to metadata, else a Bearer one,
/// else a `DPoP` one.
pub fn to_follow(challenges: &[Challenge]) -> Option<&Challenge> {
    let oauth = || challenges.iter().filter(|challenge| challenge.is_oauth());
    oauth()
        .find(|challenge| challenge.param("resource_metadata").is_some())
        .or_else(|| oauth().find(|challenge| challenge.scheme == "bearer"))
        .or_else(|| oauth().next())
}

/// The challenges of one field.
pub fn parse(field: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = field;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return found;
        }
        let (name, after) = split_while(rest, is_token);
        if name.is_empty() {
            let mut chars = rest.chars();
            chars.next();
            rest = chars.as_str();
            continue;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        match (spaced.strip_prefix('='), found.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = parameter(value.trim_start_matches([' ', '\t']));
                challenge.params.push((name.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(value), None) => rest = parameter(value).1,
            (None, _) => {
                found.push(Challenge {
                    scheme: name.to_ascii_lowercase(),
                    params: Vec::new(),
                });
                rest = skip_token68(spaced);
            }
        }
    }
}

/// A value and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = split_while(text, |c| !matches!(c, ',' | ' ' | '\t'));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (value, chars.as_str())
}

/// Skips what follows a scheme where it is one opaque word, as in `Negotiate YWJj==`.
fn skip_token68(text: &str) -> &str {
    let (word, rest) = split_while(text, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/')
    });
    let after = rest.trim_start_matches('=').trim_start_matches([' ', '\t']);
    if !word.is_empty() && (after.is_empty() || after.starts_with(',')) {
        after
    } else {
        text
    }
}

fn split_while(text: &str, matches: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !matches(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(field: &str) -> Challenge {
        let found = parse(field);
        to_follow(&found).expect("a challenge").clone()
    }

    #[test]
    fn oc_challenge_parse_matrix() {
        let url = "https://h/.well-known/oauth-protected-resource/mcp";
        for field in [
            format!(r#"Bearer resource_metadata="{url}""#),
            format!(r#"bearer Resource_Metadata = "{url}""#),
            format!("BEARER resource_metadata={url}"),
            format!(r#"Bearer realm="a, Basic b", error=invalid_token, resource_metadata="{url}""#),
            format!(r#"Bearer realm="say \"hi\"",resource_metadata="{url}""#),
            format!(r#"Basic realm="x", Bearer resource_metadata="{url}", scope="a b""#),
            format!(r#"Negotiate YWJj==, Bearer resource_metadata="{url}""#),
            format!(r#"Negotiate, Bearer resource_metadata="{url}""#),
            format!(r#"Bearer, DPoP algs="ES256", resource_metadata="{url}""#),
            format!(r#"Bearer error="invalid_token" resource_metadata="{url}""#),
            format!(r#",, Bearer ,resource_metadata="{url}",,"#),
        ] {
            let challenge = one(&field);
            assert_eq!(challenge.param("resource_metadata"), Some(url), "{field}");
        }
        let scoped = one(r#"Bearer scope="files:read  files:write""#);
        assert_eq!(
            scoped.scopes(),
            Some(vec!["files:read".to_owned(), "files:write".to_owned()])
        );
        assert_eq!(one("Bearer").scopes(), None);
        assert_eq!(one(r#"Bearer scope="""#).scopes(), None);
        assert_eq!(one(r#"Bearer a="1", a="2""#).param("a"), Some("1"));
        assert!(to_follow(&parse(r#"Basic realm="x""#)).is_none());
    }

    #[test]
    fn oc_challenge_of_several_fields() {
        let mut headers = HeaderMap::new();
        for field in [
            "Basic realm=\"x\"",
            "Bearer realm=\"y\"",
            "Bearer resource_metadata=\"z\"",
        ] {
            headers.append(WWW_AUTHENTICATE, field.parse().expect("a value"));
        }
        let found = challenges(&headers);
        assert_eq!(found.len(), 3);
        let followed = to_follow(&found).expect("a challenge");
        assert_eq!(followed.param("resource_metadata"), Some("z"));
    }

    proptest! {
        #[test]
        fn no_field_makes_the_parser_panic(field in ".{0,200}") {
            let _ = parse(&field);
        }

        #[test]
        fn no_near_miss_makes_the_parser_panic(field in r#"[Ba =",\\;é]{0,60}"#) {
            let _ = parse(&field);
        }

        #[test]
        fn what_is_quoted_comes_back(value in r"[ -~]{0,40}") {
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
            let found = parse(&format!("Bearer x=\"{escaped}\", y=z"));
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].param("x"), Some(value.as_str()));
            prop_assert_eq!(found[0].param("y"), Some("z"));
        }
    }
}
