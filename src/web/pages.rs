//! The few pages a person sees in a browser: static, self-contained, hardened (protocol.md OC-49,
//! LS-27). They never show a code, a state or a token.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:12vh auto;\
padding:0 1em;color:#1b1b1b;background:#fff}code{background:#eee;padding:.1em .3em}\
button{font:inherit;padding:.5em 1em}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}code{background:#333}}";

/// What a page says.
pub(super) struct Page<'a> {
    /// The one heading.
    pub(super) title: &'a str,
    /// Paragraphs, as text.
    pub(super) text: &'a [&'a str],
    /// A command to type next.
    pub(super) command: Option<&'a str>,
    /// A button that posts to this path.
    pub(super) button: Option<(&'a str, &'a str)>,
}

/// The page as an answer.
pub(super) fn respond(status: StatusCode, page: &Page<'_>) -> HttpResponse {
    let mut body = String::with_capacity(2048);
    let title = escape(page.title);
    body.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    body.push_str(&title);
    body.push_str(" - doorward</title><style>");
    body.push_str(STYLE);
    body.push_str("</style></head><body><main><h1>");
    body.push_str(&title);
    body.push_str("</h1>");
    for paragraph in page.text {
        body.push_str("<p>");
        body.push_str(&escape(paragraph));
        body.push_str("</p>");
    }
    if let Some(command) = page.command {
        body.push_str("<p><code>");
        body.push_str(&escape(&super::respond::spell(command)));
        body.push_str("</code></p>");
    }
    if let Some((action, label)) = page.button {
        body.push_str("<form method=\"post\" action=\"");
        body.push_str(&escape(action));
        body.push_str("\"><button>");
        body.push_str(&escape(label));
        body.push_str("</button></form>");
    }
    body.push_str("</main></body></html>");
    hardened(HttpResponse::build(status))
        .content_type("text/html; charset=utf-8")
        .body(body)
}

/// Headers that keep a page from being cached, framed, sniffed or talkative.
pub(super) fn hardened(
    mut response: actix_web::HttpResponseBuilder,
) -> actix_web::HttpResponseBuilder {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(STYLE.as_bytes());
    let hash = <base64ct::Base64 as base64ct::Encoding>::encode_string(&digest);
    // `form-action` is left open for the redirect that answers the form: browsers apply the
    // directive to the whole redirect chain, and the provider's host is its last link.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"
    );
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy));
    response
}

/// Text for HTML, with control characters shown as nothing: it may come from a server
/// (protocol.md SE-11).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn se_untrusted_strings_escaped() {
        assert_eq!(escape("<b>\"&'\u{1b}[31m"), "&lt;b&gt;&quot;&amp;&#39;[31m");
    }
}
