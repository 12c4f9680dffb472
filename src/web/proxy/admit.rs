//! Who asks, and for what: everything that is decided before a byte of the body is read.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;
use actix_web::http::Method;
use actix_web::http::header::VIA;
use actix_web::{HttpRequest, HttpResponse};
use http::uri::PathAndQuery;

use super::super::guard::{self, Presented};
use super::super::plan::Plan;
use super::super::respond::{self, RequestId};
use super::super::routes::RouteEntry;
use super::super::tally::Flight;
use super::super::{AgentState, probes};
use super::ended::{Over, died};
use super::legacy;
use super::message::Asked;
use crate::ledger::{SessionCell, Spared, StreamGuard};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::SessionId;
use crate::model::secret::SessionToken;
use crate::model::time::Timestamp;

/// Requests that one session may have open.
const MOST_OPEN: u32 = 1024;

/// An admitted request.
pub(super) struct Call {
    pub(super) route: Arc<RouteEntry>,
    pub(super) target: PathAndQuery,
    /// `None` where no session is required and none was presented.
    pub(super) session: Option<Arc<SessionCell>>,
    /// Keeps the session from becoming idle while the request is open.
    pub(super) open: Option<StreamGuard>,
    pub(super) max_body: u64,
    /// How long it waits for its turn.
    pub(super) turn_within: Duration,
    /// Lets a stop of the daemon wait for the end of the answer.
    pub(super) flight: Flight,
    pub(super) id: RequestId,
}

impl Call {
    /// Whose it is; `None` for all that need no session.
    pub(super) fn who(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.id())
    }

    /// The same for one more answer to it. It is this one that keeps its session in use.
    pub(super) fn another(&self) -> Self {
        Self {
            route: Arc::clone(&self.route),
            target: self.target.clone(),
            session: self.session.clone(),
            open: None,
            max_body: self.max_body,
            turn_within: self.turn_within,
            flight: self.flight.another(),
            id: self.id,
        }
    }

    /// It has waited for a credential, and so have others: all of them go on at once, and none is
    /// refused for the others before it could have been its turn.
    pub(super) fn has_waited(&mut self) {
        let spec = &self.route.spec;
        self.turn_within = spec.queue_timeout.max(spec.hold);
    }

    /// Counts what its agent was spared.
    pub(super) fn spared(&self, what: Spared, now: Timestamp) {
        if let Some(cell) = &self.session {
            cell.keeping().note(what, now);
        }
    }
}

/// A request that is answered here.
pub(super) struct Refused {
    pub(super) answer: Box<HttpResponse>,
    /// How long the answer is held back.
    pub(super) held: Duration,
    /// The session that has ended.
    pub(super) over: Option<Box<Over>>,
}

impl From<HttpResponse> for Refused {
    fn from(answer: HttpResponse) -> Self {
        Self {
            answer: Box::new(answer),
            held: Duration::ZERO,
            over: None,
        }
    }
}

/// Admits a request, or answers it: refused, not found, or a probe.
pub(super) fn admit(
    state: &AgentState,
    request: &HttpRequest,
    flight: Flight,
    id: RequestId,
) -> Result<Call, Refused> {
    let head = request.head();
    let plan = state.plan.load();
    guard::look(&plan.doors, head, false).map_err(|no| {
        state.denied.note(&no);
        respond::refusal(&no, id)
    })?;
    if let Some(answer) = probes::answer(state, &plan, head, id) {
        return Err(answer.into());
    }
    let Some(place) = place(&plan, head.uri.path()) else {
        let problem = Problem::new(Code::NotFound).with("path", head.uri.path());
        return Err(respond::plain(&problem, id).into());
    };
    if !guard::is_proxied(&head.method) {
        return Err(respond::method_not_allowed(id).into());
    }
    let (session, open) = session(state, &plan, head, id)?;
    let route = allowed(place.route, place.name, session.as_deref())
        .map_err(|problem| respond::rpc(&problem, &Asked::Unknown, id))?;
    if head.method == Method::POST && !guard::has_json(head.headers()) {
        return Err(respond::not_json(id).into());
    }
    let back_again = |via: &[u8]| {
        let pseudonym = state.pseudonym.as_bytes();
        via.windows(pseudonym.len()).any(|part| part == pseudonym)
    };
    if head
        .headers()
        .get_all(VIA)
        .any(|via| back_again(via.as_bytes()))
    {
        return Err(respond::looped(id).into());
    }
    let target = match legacy::posted(&state.ledger, route, session.as_deref(), head) {
        Some(posted) => posted.map_err(|problem| respond::rpc(&problem, &Asked::Unknown, id))?,
        None => route
            .base
            .target(place.tail, head.uri.query(), route.spec.allow_subpaths)
            .map_err(|_| {
                let problem = Problem::new(Code::NotFound).with("path", head.uri.path());
                respond::plain(&problem, id)
            })?,
    };
    Ok(Call {
        route: Arc::clone(route),
        target,
        session,
        open,
        max_body: plan.max_body,
        turn_within: route.spec.queue_timeout,
        flight,
        id,
    })
}

/// What a path leads to.
struct Place<'a> {
    name: &'a str,
    route: Option<&'a Arc<RouteEntry>>,
    tail: &'a str,
}

/// `/u/NAME` and what follows; anything else belongs to the default upstream, if there is one.
fn place<'a>(plan: &'a Plan, path: &'a str) -> Option<Place<'a>> {
    if let Some(rest) = path.strip_prefix("/u/") {
        let end = rest.bytes().position(|b| b == b'/').unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        return Some(Place {
            name,
            route: plan.route(name).or_else(|| escaped(plan, name)),
            tail,
        });
    }
    let route = plan.default_route()?;
    let tail = match path.strip_prefix("/mcp") {
        Some(tail) if tail.is_empty() || tail.starts_with('/') => tail,
        _ => path,
    };
    Some(Place {
        name: route.account().upstream.as_str(),
        route: Some(route),
        tail,
    })
}

/// `notion%40work`: some clients escape the `@`.
fn escaped<'a>(plan: &'a Plan, name: &str) -> Option<&'a Arc<RouteEntry>> {
    let (upstream, account) = name.split_once("%40")?;
    plan.route(&format!("{upstream}@{account}"))
}

/// The upstream, if it is there for this session. What is outside of its grant is not told from
/// what does not exist (decision D9).
fn allowed<'a>(
    route: Option<&'a Arc<RouteEntry>>,
    name: &str,
    session: Option<&SessionCell>,
) -> Result<&'a Arc<RouteEntry>, Problem> {
    match route {
        Some(route) if session.is_none_or(|cell| cell.may_reach(route.account())) => {
            if route.spec.enabled {
                Ok(route)
            } else {
                Err(Problem::new(Code::UpstreamDisabled).with("upstream", route.account()))
            }
        }
        _ => Err(Problem::new(Code::UpstreamUnknown)
            .with("name", name)
            .because("it is not configured, or this session may not use it")
            .next_step("doorward upstream list")),
    }
}

type Admitted = (Option<Arc<SessionCell>>, Option<StreamGuard>);

fn session(
    state: &AgentState,
    plan: &Plan,
    head: &RequestHead,
    id: RequestId,
) -> Result<Admitted, Refused> {
    let presented = guard::presented(head.headers()).map_err(|no| respond::refusal(&no, id))?;
    let refuse = |problem: Problem| Refused::from(respond::unauthorized(&problem, id));
    let digest = match presented {
        Presented::Nothing if !plan.require_session => return Ok((None, None)),
        Presented::Nothing => return Err(refuse(Problem::new(Code::SessionMissing))),
        // Without required sessions, what an agent sends for the upstream is not ours to judge;
        // what claims to be ours is.
        Presented::Credential { ours: false, .. } if !plan.require_session => {
            return Ok((None, None));
        }
        Presented::Credential { digest, .. } => digest,
    };
    let Some(cell) = state.ledger.session(&digest) else {
        return Err(Refused {
            held: state.guesses.note(state.clock.now()),
            ..refuse(unknown(head))
        });
    };
    if cell.streams() >= MOST_OPEN {
        let problem = Problem::new(Code::Busy)
            .with("upstream", "doorward")
            .because(format!("this session has {MOST_OPEN} requests open"));
        return Err(respond::rpc(&problem, &Asked::Unknown, id).into());
    }
    let open = cell.open_stream(&state.clock).map_err(|death| {
        let problem = died(&cell, death, state.clock.now());
        let origin = cell.origin();
        Refused {
            over: Some(Box::new(Over {
                origin,
                death,
                problem: problem.clone(),
            })),
            ..refuse(problem)
        }
    })?;
    if head.method == Method::POST {
        cell.add_call();
    }
    Ok((Some(cell), Some(open)))
}

/// Tells a credential that was mistyped from one that is not known here any more.
fn unknown(head: &RequestHead) -> Problem {
    let problem = Problem::new(Code::SessionUnknown);
    let text = ["doorward-session", "authorization"]
        .into_iter()
        .find_map(|name| head.headers().get(name)?.to_str().ok());
    let token = text.and_then(|text| text.rsplit(' ').next());
    match token {
        Some(token) if !SessionToken::is_well_formed(token) => {
            problem.because("it is mistyped: its checksum fails")
        }
        _ => problem,
    }
}
