//! The request as the upstream gets it: the agent's, less what concerns this hop or tells of this
//! machine, with the upstream's credential in the place of ours.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header as local;
use bytes::BytesMut;
use http::header::{ACCEPT_ENCODING, HOST, USER_AGENT, VIA};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::super::routes::{AgentName, Dialect};
use super::admit::Call;
use super::mcp::{Name, SESSION};
use super::repair::REVISION;
use super::{Worker, names, possession};
use crate::ledger::Published;
use crate::model::route;
use crate::transport::RequestBody;

/// What the values of an agent's fields need together, commonly.
const COMMON_VALUES: usize = 512;

/// What is sent with the request to prove who asks.
pub(super) enum Proof {
    Nothing,
    Held(Arc<Published>),
    Agents(HeaderValue),
}

/// The request as the upstream gets it.
pub(super) fn outgoing(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    proof: &Proof,
    name: &Name,
    body: RequestBody,
) -> Box<Request<RequestBody>> {
    let from = request.headers();
    let spec = &call.route.spec;
    let named = route::named_by_connection(
        from.get_all(local::CONNECTION)
            .map(local::HeaderValue::as_bytes),
    );
    let mut headers = HeaderMap::with_capacity(from.len() + spec.fields.len() + 3);
    headers.insert(HOST, call.route.host.clone());
    // One allocation for all values in the place of one for each.
    let mut values = BytesMut::with_capacity(COMMON_VALUES);
    for (name, value) in from {
        if named.contains(name.as_str()) {
            continue;
        }
        let Some(name) = names::to_upstream(name) else {
            continue;
        };
        values.extend_from_slice(value.as_bytes());
        // Both sides hold to the grammar of RFC 9110 §5.5, so this does not fail.
        if let Ok(value) = HeaderValue::from_maybe_shared(values.split().freeze()) {
            headers.append(name, value);
        }
    }
    if spec.via {
        headers.append(VIA, worker.state.via.clone());
    }
    if spec.dialect == Dialect::Sse && request.method() == actix_web::http::Method::GET {
        // The first event of the stream has to be read.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    name_agent(&mut headers, spec.agent_name, values);
    for (name, value) in &spec.fields {
        headers.insert(name.clone(), value.clone());
    }
    match proof {
        Proof::Nothing => {}
        Proof::Held(held) => match &held.header {
            Some(value) => {
                headers.insert(spec.header.clone(), value.clone());
            }
            None => {
                headers.remove(&spec.header);
            }
        },
        Proof::Agents(value) => {
            headers.insert(spec.header.clone(), value.clone());
        }
    }
    if let Name::Other { id, revision } = name {
        headers.remove(&SESSION);
        headers.extend(id.clone().map(|id| (SESSION, id)));
        if let Some(revision) = revision
            .as_ref()
            .filter(|_| headers.contains_key(&REVISION))
        {
            headers.insert(REVISION, revision.clone());
        }
    }
    let mut outgoing = Box::new(Request::new(body));
    *outgoing.method_mut() = match *request.method() {
        actix_web::http::Method::GET => Method::GET,
        actix_web::http::Method::DELETE => Method::DELETE,
        // The guard lets nothing else pass.
        _ => Method::POST,
    };
    *outgoing.uri_mut() = Uri::from(call.target.clone());
    if let Proof::Held(held) = proof
        && held.bound.is_some()
    {
        let (to, path) = (&call.route.peer.origin, outgoing.uri().path());
        possession::prove(held, outgoing.method(), to, path, &mut headers);
    }
    *outgoing.headers_mut() = headers;
    outgoing
}

/// `room` is where a name that is put together is written.
fn name_agent(headers: &mut HeaderMap, how: AgentName, mut room: BytesMut) {
    const OURS: &str = concat!("doorward/", env!("CARGO_PKG_VERSION"));
    let agents = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let name = match (how, agents) {
        (AgentName::Forward, _) => return,
        (AgentName::Append, Some(agents)) => {
            for part in [agents, " ", OURS] {
                room.extend_from_slice(part.as_bytes());
            }
            HeaderValue::from_maybe_shared(room.freeze())
        }
        (AgentName::Append, None) | (AgentName::Replace, _) => Ok(HeaderValue::from_static(OURS)),
    };
    if let Ok(name) = name {
        headers.insert(USER_AGENT, name);
    }
}
