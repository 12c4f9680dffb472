//! Keeping an agent's session alive while its server cannot be asked (decision D10): its handshake
//! and its lists are answered here, its calls wait for the sign-in or carry the words, and its
//! session is opened upstream as soon as that can be done. Who answers what is decided in
//! `model::mcp::standin`; nothing of this is reached by a request that meets no trouble.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderValue as LocalValue;
use actix_web::{HttpRequest, HttpResponse};
use http::Response;
use serde_json::{Value, json};

use super::super::respond;
use super::super::routes::{RouteEntry, SignInTold};
use super::admit::Call;
use super::answer::Answered;
use super::mcp::{ASKED, Named};
use super::message::Asked;
use super::replay::Outbound;
use super::trouble::{Trouble, problem};
use super::{Worker, answer, forward};
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::standin::{self, Absence, Part, Standing, Wanted, Wants, part};
use crate::transport::ResponseBody;

mod doubled;
mod hold;
mod listen;
mod memory;
mod patience;
mod speech;
mod stream;

pub(super) use memory::{Tap, is_first, question};
pub(super) use patience::event;

/// How long a link may take: its provider has to be found first.
const LINK: Duration = Duration::from_secs(5);
/// How the ids of sessions begin that were opened here.
const OURS: &str = "dw-";
/// How long they are.
const LENGTH: usize = 35;

/// Whether a request names a session that may have been opened here.
pub(super) fn is_ours(request: &HttpRequest) -> bool {
    let named = request.headers().get(&ASKED);
    let bytes = named.map(LocalValue::as_bytes);
    bytes.is_some_and(|id| id.len() == LENGTH && id.starts_with(OURS.as_bytes()))
}

/// A request whose server cannot be asked.
struct Scene {
    worker: Rc<Worker>,
    request: HttpRequest,
    call: Call,
    body: Outbound,
    /// The session that it names, where its opening was seen.
    named: Option<Named>,
    problem: Problem,
}

/// What there is to do for a session that was opened here, before the upstream is asked: `Err`
/// gives the request back where that is nothing.
pub(super) async fn first(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    mut call: Call,
    body: &mut Outbound,
) -> Result<HttpResponse, Call> {
    let named = match Named::of(worker, request, &call) {
        Ok(Some(named)) => named,
        Ok(None) => {
            // Its server never knew it: whoever it is shakes hands again then.
            let gone = Trouble::from(problem(&call, Code::McpSession));
            return Ok(answer::refuse(&call, gone, &Asked::of(body.bytes())));
        }
        Err(_) => return Err(call),
    };
    if !named.session.stood_in {
        return Err(call);
    }
    match *request.method() {
        Method::GET if named.session.owes_news() => {
            return Ok(stream::open(worker, request, call, named));
        }
        Method::DELETE if named.life.id.is_none() => {
            worker.state.ledger.mcp().close(&named.key);
            return Ok(respond::accepted(call.id));
        }
        Method::GET | Method::DELETE => return Err(call),
        _ => {}
    }
    let bytes = body.bytes();
    let has = |word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    if !has(standin::TOOL) && !has("initialized") {
        return Err(call);
    }
    let wants = Wants::read(bytes).unwrap_or_default();
    let [one] = &wants[..] else { return Err(call) };
    if one.method == "notifications/initialized" {
        // The upstream is told when it is asked to open the session.
        return Ok(respond::accepted(call.id));
    }
    if one.wanted != Wanted::SignIn {
        return Err(call);
    }
    let mut named = Some(named);
    match forward::ready(worker, request, &mut call, body, &mut named).await {
        Ok(()) => Ok(there(&call, one)),
        Err(_) => Err(call),
    }
}

/// The answer to a call of the stand-in that is not needed any more.
fn there(call: &Call, one: &Wants) -> HttpResponse {
    let over = standin::over(&call.route.account().to_string());
    let body = result(&one.id, over);
    respond::json(actix_web::http::StatusCode::OK, &body, call.id)
}

/// The link that begins a sign-in, where there is one soon.
async fn link(worker: &Worker, route: &RouteEntry) -> Option<String> {
    let asking = worker.state.source.sign_in_link(route.account());
    tokio::time::timeout(LINK, asking).await.ok().flatten()
}

fn result(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// Whether an answer of the upstream says that it cannot answer now.
pub(super) fn is_outage(call: &Call, response: &Response<ResponseBody>) -> bool {
    let status = response.status();
    call.route.spec.keeps_alive()
        && (status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS)
}

/// The wish that an answer is the stream of, where it is that of a subscription.
pub(super) fn subscription(call: &Call, body: &Outbound, answered: &Answered) -> Option<Wants> {
    // Most are no streams, and of the others most are none, without what was asked being read.
    let may_be = answered.stream.is_some()
        && call.route.spec.keeps_alive()
        && memchr::memmem::find(body.bytes(), standin::LISTEN.as_bytes()).is_some();
    if !may_be {
        return None;
    }
    let one = Wants::of(serde_json::from_slice(body.bytes()).ok()?)?;
    (one.wanted == Wanted::Listen && one.stateless().is_some()).then_some(one)
}

/// Follows such an answer.
pub(super) fn subscribed(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: Call,
    body: Outbound,
    one: &Wants,
    answered: Answered,
) -> HttpResponse {
    let problem = problem(&call, Code::ConnectionLost);
    let scene = Scene::of(worker, request, call, body, problem);
    listen::follow(scene, one, answered)
}

/// Answers a request that got such an answer, where that is ours to do; else gives it back.
pub(super) fn outage(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: Call,
    body: Outbound,
    response: &Response<ResponseBody>,
) -> Result<HttpResponse, Box<Call>> {
    let why = format!("it answers {}", response.status());
    let problem = problem(&call, Code::UpstreamUnreachable).because(why);
    let scene = Scene::of(worker, request, call, body, problem);
    let wants = scene.wants();
    if let Some([one]) = wants.as_deref()
        && part(&one.wanted, scene.standing(), Absence::Passing) == Part::Attend
    {
        return Ok(listen::open(scene, one, Absence::Passing));
    }
    let answered = match wants.as_deref() {
        // The answer to a call is the server's own.
        Some([one]) if scene.stands_for(one) => scene.standing_answer(one),
        _ => None,
    };
    answered.ok_or(Box::new(scene.call))
}

/// Answers a request that met trouble.
pub(super) async fn take_over(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: Call,
    body: Outbound,
    trouble: Trouble,
) -> HttpResponse {
    let keeps = call.route.spec.keeps_alive();
    let (problem, absence) = match trouble {
        Trouble::Told(problem) if keeps && Absence::of(problem.code()).is_some() => {
            let absence = Absence::of(problem.code()).unwrap_or(Absence::Passing);
            (problem, absence)
        }
        trouble => return answer::refuse(&call, trouble, &Asked::of(body.bytes())),
    };
    let scene = Scene::of(worker, request, call, body, *problem);
    match *request.method() {
        Method::POST => scene.answer(absence).await,
        _ => scene.refuse(),
    }
}

impl Scene {
    fn of(
        worker: &Rc<Worker>,
        request: &HttpRequest,
        call: Call,
        body: Outbound,
        problem: Problem,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            request: request.clone(),
            named: Named::of(worker, request, &call).ok().flatten(),
            call,
            body,
            problem,
        }
    }

    fn standing(&self) -> Standing {
        match &self.named {
            Some(named) if named.session.is_waiting() => Standing::Waiting,
            Some(_) => Standing::Open,
            // One that is not known here is the server's.
            None if self.request.headers().contains_key(&ASKED) => Standing::Open,
            None => Standing::None,
        }
    }

    fn wants(&self) -> Option<Vec<Wants>> {
        Wants::read(self.body.bytes())
    }

    /// Whether the server's own answer to this is replaced.
    fn stands_for(&self, one: &Wants) -> bool {
        let part = part(&one.wanted, self.standing(), Absence::Passing);
        match one.wanted {
            Wanted::Hello | Wanted::Discover | Wanted::List(_) => {
                part == Part::Stand || self.remembered(one).is_some()
            }
            _ => false,
        }
    }

    async fn answer(self, absence: Absence) -> HttpResponse {
        let Some(wants) = self.wants() else {
            return self.refuse();
        };
        let standing = self.standing();
        let parts: Vec<_> = wants
            .iter()
            .map(|one| part(&one.wanted, standing, absence))
            .collect();
        if let [one] = &wants[..]
            && one.wanted == Wanted::Hello
        {
            return match self.standing_answer(one) {
                Some(answer) => answer,
                None => self.refuse(),
            };
        }
        if let ([one], [Part::Attend]) = (&wants[..], &parts[..]) {
            return listen::open(self, one, absence);
        }
        if !parts.contains(&Part::Hold) {
            return self.tell(&wants, &parts, None);
        }
        if let [one] = &wants[..]
            && let Some(asked) = self.ask_person(one).await
        {
            return asked;
        }
        let asks_for_it = wants.iter().any(|one| one.wanted == Wanted::SignIn);
        if asks_for_it || !self.call.route.spec.hold.is_zero() {
            return hold::held(self, wants).await;
        }
        self.tell(&wants, &parts, None)
    }

    /// Lets the program ask the person, where it can and that is switched on.
    async fn ask_person(&self, one: &Wants) -> Option<HttpResponse> {
        let route = &self.call.route;
        let named = self.named.as_ref();
        let hello = named.and_then(|named| named.session.hello.as_deref());
        if route.spec.sign_in != SignInTold::Elicited || !standin::can_ask(one, hello) {
            return None;
        }
        let link = link(&self.worker, route).await?;
        let id = named.map_or_else(String::new, |named| named.key.to_string());
        if let Some(named) = named {
            named.session.elicit();
        }
        let asked = standin::Elicitation {
            upstream: &route.account().to_string(),
            url: &link,
            id: &id,
        };
        let body = asked.answer(one, &respond::message_of(&self.problem));
        let ok = actix_web::http::StatusCode::OK;
        Some(respond::json(ok, &body, self.call.id))
    }

    /// Answers at once; who asked how to sign in is told the `link`.
    fn tell(self, wants: &[Wants], parts: &[Part], link: Option<&str>) -> HttpResponse {
        let waiting = self.standing() == Standing::Waiting;
        let told = |part: &Part| matches!(part, Part::Tell | Part::Hold);
        if !waiting && link.is_none() && parts.iter().all(told) {
            return self.refuse();
        }
        let shaped = match Asked::of(self.body.bytes()) {
            Asked::One(message) => vec![message],
            Asked::Many(messages) => messages,
            Asked::Unknown => return self.refuse(),
        };
        let bodies: Vec<_> = wants
            .iter()
            .zip(parts)
            .zip(&shaped)
            .filter(|((one, _), _)| one.is_answered())
            .map(|((one, part), message)| match (&one.wanted, link) {
                (Wanted::SignIn, Some(_)) => {
                    let said = standin::unsigned(&respond::message_of(&self.problem), link);
                    result(&one.id, said)
                }
                _ => self.one_answer(one, part, message),
            })
            .collect();
        let body = match (wants.len(), bodies.first()) {
            (_, None) => return respond::accepted(self.call.id),
            (1, Some(only)) => only.clone(),
            _ => Value::Array(bodies),
        };
        if let Some(cell) = &self.call.session {
            cell.add_error();
        }
        respond::json(actix_web::http::StatusCode::OK, &body, self.call.id)
    }

    /// Tells the trouble as it would be told without all this.
    fn refuse(self) -> HttpResponse {
        let asked = Asked::of(self.body.bytes());
        let trouble = Trouble::Told(Box::new(self.problem));
        answer::refuse(&self.call, trouble, &asked)
    }
}
