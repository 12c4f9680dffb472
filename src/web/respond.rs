//! From trouble to an answer: the only such map. Status, fields and bodies are those of the
//! catalogue; on the data path they are JSON-RPC messages with the ids of the request.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde_json::{Value, json};

use super::guard::Refusal;
use super::proxy::message::{Asked, Kind, Message};
use crate::model::catalogue::{Code, Problem};
use crate::model::invocation::Invocation;

const DOORWARD_ORIGIN: HeaderName = HeaderName::from_static("doorward-origin");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const LOCAL: HeaderValue = HeaderValue::from_static("local");
const UPSTREAM: HeaderValue = HeaderValue::from_static("upstream");
/// What an agent is told to wait when nothing better is known.
const SOON: u64 = 5;
/// How people call the program when they mean this daemon. It is a fact of the process, and there
/// is one daemon in a process.
static CALLED: OnceLock<Invocation> = OnceLock::new();

/// Has every answer name commands in this way. The first call holds.
pub fn called(invocation: Invocation) {
    let _ = CALLED.set(invocation);
}

/// `text` with its commands as people have to type them.
pub(super) fn spell(text: &str) -> String {
    let called = CALLED.get();
    called.map_or_else(|| text.to_owned(), |invocation| invocation.spell(text))
}

/// What is told of a problem, with the commands spelled as this daemon was started.
pub(super) fn message_of(problem: &Problem) -> String {
    spell_for(problem, &problem.message())
}

fn fix_of(problem: &Problem) -> Option<String> {
    problem.fix().map(|fix| spell_for(problem, &fix))
}

/// Whether anybody may be told this who reaches the port, other users of the machine among them.
fn is_for_strangers(problem: &Problem) -> bool {
    matches!(
        problem.code(),
        Code::SessionMissing | Code::SessionUnknown | Code::OauthNotOffered | Code::NotFound
    )
}

/// The same as [`spell`], without the paths of this user for who may be another one.
fn spell_for(problem: &Problem, text: &str) -> String {
    if is_for_strangers(problem) {
        return text.to_owned();
    }
    spell(text)
}

/// The id of one request, for logs and for people who report trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 10]);

impl RequestId {
    /// An id that differs from those of the requests before it and tells nothing about them.
    pub fn new(count: u64) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        // An odd factor makes a permutation of all 64 bit numbers; the upper bits are well mixed.
        let mut mixed = count.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
        let mut text = *b"r_00000000";
        for digit in &mut text[2..] {
            *digit = DIGITS[(mixed & 31) as usize];
            mixed >>= 5;
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("r_"))
    }
}

/// Marks an answer as our own.
pub fn mark_local(headers: &mut HeaderMap, id: RequestId) {
    headers.insert(X_REQUEST_ID, id.value());
    headers.insert(DOORWARD_ORIGIN, LOCAL);
}

/// Marks an answer as the upstream's, whose own request id wins.
pub fn mark_forwarded(headers: &mut HeaderMap, id: RequestId) {
    if !headers.contains_key(&X_REQUEST_ID) {
        headers.insert(X_REQUEST_ID, id.value());
    }
    headers.insert(DOORWARD_ORIGIN, UPSTREAM);
}

/// JSON of our own.
pub fn json(status: StatusCode, body: &Value, id: RequestId) -> HttpResponse {
    bytes(status, body.to_string(), id)
}

/// A request that the guard refuses. The connection is closed: what follows may not be HTTP.
pub fn refusal(refusal: &Refusal, id: RequestId) -> HttpResponse {
    let mut response = plain(&refusal.problem, id);
    if let Some(status) = refusal.status.and_then(|s| StatusCode::from_u16(s).ok()) {
        *response.status_mut() = status;
    }
    response
        .head_mut()
        .set_connection_type(actix_web::http::ConnectionType::Close);
    response
}

/// Trouble outside of JSON-RPC, in the shape of an OAuth error: clients that parse those show our
/// sentence then.
pub fn plain(problem: &Problem, id: RequestId) -> HttpResponse {
    let entry = problem.entry();
    let body = json!({
        "error": entry.oauth_error.unwrap_or(entry.code),
        "error_description": message_of(problem),
        "fix": fix_of(problem),
        "request_id": id.as_str(),
    });
    json(status_of(entry.http), &body, id)
}

/// A method that is not proxied.
pub fn method_not_allowed(id: RequestId) -> HttpResponse {
    let problem =
        Problem::new(Code::BadRequest).with("detail", "an MCP endpoint takes POST, GET and DELETE");
    let mut response = plain(&problem, id);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allow = HeaderValue::from_static("GET, POST, DELETE");
    response
        .headers_mut()
        .insert(actix_web::http::header::ALLOW, allow);
    response
}

/// A body that is not declared as JSON.
pub fn not_json(id: RequestId) -> HttpResponse {
    let problem = Problem::new(Code::BadRequest).with(
        "detail",
        "a POST to an MCP endpoint has Content-Type: application/json",
    );
    let mut response = plain(&problem, id);
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

/// A request that came back to us.
pub fn looped(id: RequestId) -> HttpResponse {
    let problem = Problem::new(Code::BadRequest).with(
        "detail",
        "this request has passed this daemon before: the upstream leads back here",
    );
    let mut response = rpc(&problem, &Asked::Unknown, id);
    *response.status_mut() = StatusCode::LOOP_DETECTED;
    response
}

/// A session that does not admit: 401, with a challenge that names no authorization server.
pub fn unauthorized(problem: &Problem, id: RequestId) -> HttpResponse {
    // Of tokens that are the upstream's, not ours (seeds.md S3-06; RFC 6750 §3.1: no code where
    // nothing was presented).
    let foreign = match problem.code() {
        Code::TokenExpired => {
            Some("Bearer error=\"invalid_token\", error_description=\"OAuth token expired\"")
        }
        Code::TokenMissing => Some("Bearer"),
        _ => None,
    };
    if let Some(challenge) = foreign {
        let mut response = rpc(problem, &Asked::Unknown, id);
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    }
    let error = problem.entry().oauth_error.unwrap_or("invalid_token");
    // Quoted-string of RFC 9110 §5.6.4, in the characters of RFC 6750 §3.
    let description: String = message_of(problem)
        .chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        })
        .collect();
    let challenge = format!(
        "Bearer realm=\"doorward\", error=\"{error}\", error_description=\"{description}\""
    );
    let mut response = rpc(problem, &Asked::Unknown, id);
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// A person must sign in, for programs that are configured to be told by a status.
pub fn not_authenticated(problem: &Problem, id: RequestId) -> HttpResponse {
    let body = json!({
        "error": "not_authenticated",
        "error_description": message_of(problem),
        "fix": fix_of(problem),
        "request_id": id.as_str(),
    });
    json(StatusCode::UNAUTHORIZED, &body, id)
}

/// Trouble on the data path, in the shape that the message asks for (decision D10).
pub fn rpc(problem: &Problem, asked: &Asked, id: RequestId) -> HttpResponse {
    let entry = problem.entry();
    let wait = problem.retry_after_s();
    if entry.http != 200 {
        let body = match asked {
            Asked::Unknown => error(problem, Value::Null, id),
            Asked::One(message) => error(problem, message.id.clone(), id),
            Asked::Many(messages) => Value::Array(
                messages
                    .iter()
                    .filter(|message| message.kind.is_answered())
                    .map(|message| error(problem, message.id.clone(), id))
                    .collect(),
            ),
        };
        return retried(
            json(status_of(entry.http), &body, id),
            entry.http == 503,
            wait,
        );
    }
    match asked {
        Asked::One(message) if !message.kind.is_answered() => accepted(id),
        Asked::Many(messages) if !messages.iter().any(|one| one.kind.is_answered()) => accepted(id),
        // Any 200 settles what a client takes the server for, so a handshake never gets one.
        Asked::Unknown => unavailable(&error(problem, Value::Null, id), wait, id),
        Asked::One(message) if message.kind == Kind::Handshake => {
            unavailable(&error(problem, message.id.clone(), id), wait, id)
        }
        Asked::One(message) => json(StatusCode::OK, &shaped(problem, message, id), id),
        Asked::Many(messages) => {
            let bodies = messages
                .iter()
                .filter(|message| message.kind.is_answered())
                .map(|message| shaped(problem, message, id));
            json(StatusCode::OK, &Value::Array(bodies.collect()), id)
        }
    }
}

/// A tool call is answered by a result whatever the trouble.
pub fn result(problem: &Problem, message: &Message, id: RequestId) -> HttpResponse {
    json(StatusCode::OK, &shaped(problem, message, id), id)
}

/// A tool call is answered by a result, which every agent shows; anything else by an error.
pub(super) fn shaped(problem: &Problem, message: &Message, id: RequestId) -> Value {
    if message.kind != Kind::Tool {
        return error(problem, message.id.clone(), id);
    }
    json!({
        "jsonrpc": "2.0",
        "id": message.id,
        "result": {
            // Clients of revision 2026-07-28 drop a result without it, and with it the message;
            // those of older ones ignore what they do not know.
            "resultType": "complete",
            "content": [{ "type": "text", "text": message_of(problem) }],
            "isError": true,
        },
    })
}

fn error(problem: &Problem, message_id: Value, id: RequestId) -> Value {
    let entry = problem.entry();
    let field = |name: &str| problem.value(name).map(str::to_owned);
    json!({
        "jsonrpc": "2.0",
        "id": message_id,
        "error": {
            "code": entry.rpc.unwrap_or(-31060),
            "message": message_of(problem),
            "data": {
                "code": entry.code,
                "what": problem.what(),
                "why": problem.why(),
                "fix": fix_of(problem),
                "upstream": field("upstream"),
                "url": problem.url(),
                "retry": entry.retry,
                "retry_after_s": problem.retry_after_s(),
                "request_id": id.as_str(),
                "source": "doorward",
            },
        },
    })
}

/// What has been taken note of.
pub(super) fn accepted(id: RequestId) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::ACCEPTED, BoxBody::new(()));
    mark_local(response.headers_mut(), id);
    response
}

fn unavailable(body: &Value, wait: Option<u64>, id: RequestId) -> HttpResponse {
    retried(json(StatusCode::SERVICE_UNAVAILABLE, body, id), true, wait)
}

fn retried(mut response: HttpResponse, always: bool, wait: Option<u64>) -> HttpResponse {
    if always || wait.is_some() {
        let seconds = HeaderValue::from(wait.unwrap_or(SOON));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn bytes(status: StatusCode, body: String, id: RequestId) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    mark_local(headers, id);
    response
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
