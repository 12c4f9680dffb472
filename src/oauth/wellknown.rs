//! Where metadata lives: the well-known URLs of a resource (RFC 9728 §3.1) and of an issuer
//! (RFC 8414 §3.1, OpenID Connect Discovery §4), and the canonical form of a resource.

use url::Url;

use crate::http::is_this_machine;

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// https, or http to this machine by its very name.
pub fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_this_machine(url),
        _ => false,
    }
}

/// Where the metadata of a resource may be, with its path and then at the root.
pub fn resource_metadata(endpoint: &Url) -> Vec<Url> {
    let root = at(endpoint, RESOURCE.to_owned(), None);
    let path = match endpoint.path() {
        "/" => "",
        path => path,
    };
    if path.is_empty() && endpoint.query().is_none() {
        return vec![root];
    }
    let inserted = at(endpoint, format!("{RESOURCE}{path}"), endpoint.query());
    vec![inserted, root]
}

/// Where the metadata of an issuer may be, in the order of MCP. The root is never asked on behalf
/// of an issuer with a path.
pub fn server_metadata(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    if path.is_empty() {
        return [SERVER, OPENID]
            .map(|suffix| at(issuer, suffix.to_owned(), None))
            .to_vec();
    }
    [
        format!("{SERVER}{path}"),
        format!("{OPENID}{path}"),
        format!("{path}{OPENID}"),
    ]
    .map(|path| at(issuer, path, None))
    .to_vec()
}

/// The canonical form of a resource (RFC 8707 §2): no fragment, and no slash that the URL parser
/// added after the host. Any other trailing slash is the person's own.
pub fn canonical_resource(endpoint: &Url) -> String {
    let mut url = endpoint.clone();
    url.set_fragment(None);
    let text = String::from(url.clone());
    if url.path() == "/" && url.query().is_none() {
        text.trim_end_matches('/').to_owned()
    } else {
        text
    }
}

/// The bare origin of a URL, without a trailing slash.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn at(base: &Url, path: String, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_fragment(None);
    url.set_query(query);
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    fn texts(urls: &[Url]) -> Vec<&str> {
        urls.iter().map(Url::as_str).collect()
    }

    #[test]
    fn oc_wellknown_url_builder() {
        assert_eq!(
            texts(&resource_metadata(&url("https://h.example/mcp"))),
            [
                "https://h.example/.well-known/oauth-protected-resource/mcp",
                "https://h.example/.well-known/oauth-protected-resource",
            ]
        );
        for root in ["https://h.example", "https://h.example/"] {
            assert_eq!(
                texts(&resource_metadata(&url(root))),
                ["https://h.example/.well-known/oauth-protected-resource"]
            );
        }
        assert_eq!(
            texts(&resource_metadata(&url(
                "https://h.example:8443/a/mcp/?team=7#x"
            ))),
            [
                "https://h.example:8443/.well-known/oauth-protected-resource/a/mcp/?team=7",
                "https://h.example:8443/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            resource_metadata(&url("https://h.example/?k=v"))[0].as_str(),
            "https://h.example/.well-known/oauth-protected-resource?k=v"
        );
    }

    #[test]
    fn oc_as_metadata_order_path_issuer() {
        for issuer in [
            "https://id.example/tenant/7",
            "https://id.example/tenant/7/",
        ] {
            assert_eq!(
                texts(&server_metadata(&url(issuer))),
                [
                    "https://id.example/.well-known/oauth-authorization-server/tenant/7",
                    "https://id.example/.well-known/openid-configuration/tenant/7",
                    "https://id.example/tenant/7/.well-known/openid-configuration",
                ]
            );
        }
    }

    #[test]
    fn oc_as_metadata_order_root_issuer() {
        for issuer in ["https://id.example", "https://id.example/"] {
            assert_eq!(
                texts(&server_metadata(&url(issuer))),
                [
                    "https://id.example/.well-known/oauth-authorization-server",
                    "https://id.example/.well-known/openid-configuration",
                ]
            );
        }
    }

    #[test]
    fn oc_canonical_resource_uri() {
        for (given, canonical) in [
            ("HTTPS://Mcp.Example", "https://mcp.example"),
            ("https://mcp.example/", "https://mcp.example"),
            ("https://mcp.example:443/mcp#top", "https://mcp.example/mcp"),
            ("https://mcp.example:8443", "https://mcp.example:8443"),
            ("https://mcp.example/Mcp/", "https://mcp.example/Mcp/"),
            ("https://mcp.example/?a=b", "https://mcp.example/?a=b"),
        ] {
            assert_eq!(canonical_resource(&url(given)), canonical);
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        for fine in [
            "https://h.example/",
            "http://127.0.0.1:1/",
            "http://localhost/",
        ] {
            assert!(is_secure(&url(fine)), "{fine}");
        }
        for not in [
            "http://h.example/",
            "http://10.0.0.1/",
            "ftp://h.example/",
            "javascript:x",
        ] {
            assert!(!is_secure(&url(not)), "{not}");
        }
    }
}
