//! The stream on which an agent listens whose session was opened here: it stays open until the
//! session is opened upstream, tells the agent then that its lists have changed, and goes on as the
//! server's own.

use std::rc::Rc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::super::super::routes::SignInTold;
use super::super::admit::Call;
use super::super::mcp::Named;
use super::super::replay::Outbound;
use super::super::trouble::Trouble;
use super::super::{Worker, forward};
use super::patience::{COMMENT, Cuts, Unfinished, events, is_stream, passed};
use crate::model::mcp::standin::{ANNOUNCEMENTS, Absence, completion};

/// How long to wait before the upstream is asked again, at first and at most.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The answer to a request for such a stream.
pub(super) fn open(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: Call,
    named: Named,
) -> HttpResponse {
    let id = call.id;
    let cuts = Cuts::of(&call, &worker.stop.begun);
    let vigil = Box::new(Vigil {
        worker: Rc::clone(worker),
        request: request.clone(),
        call,
        named: Some(named),
        cuts,
        pause: PAUSES.0,
        again: Some(Instant::now()),
        told: None,
    });
    events(stream::unfold(Stage::Waiting(vigil), Stage::next), id)
}

enum Stage {
    Waiting(Box<Vigil>),
    /// The agent has been told.
    Told(Box<Vigil>),
    Passing(BoxBody),
    Over,
}

struct Vigil {
    worker: Rc<Worker>,
    request: HttpRequest,
    call: Call,
    named: Option<Named>,
    cuts: Cuts,
    pause: Duration,
    /// When the upstream is asked again; `None`: when a person has signed in.
    again: Option<Instant>,
    /// When something was sent last.
    told: Option<Instant>,
}

/// What a vigil comes to.
enum Seen {
    /// The session is open upstream.
    Open,
    /// Nothing has happened for a while.
    Quiet,
    Cut,
}

type Step = Option<(Result<Bytes, Unfinished>, Stage)>;

impl Stage {
    async fn next(self) -> Step {
        match self {
            Self::Waiting(mut vigil) => match vigil.watch().await {
                Seen::Open => {
                    let news = vigil.news();
                    Some((Ok(news), Self::Told(vigil)))
                }
                Seen::Quiet => Some((Ok(COMMENT), Self::Waiting(vigil))),
                Seen::Cut => Some((Err(Unfinished), Self::Over)),
            },
            Self::Told(vigil) => {
                let Vigil {
                    worker,
                    request,
                    call,
                    cuts,
                    ..
                } = *vigil;
                let asking = forward::again(&worker, &request, call, Outbound::empty());
                let answer = tokio::select! {
                    answer = asking => answer,
                    () = cuts.cut() => return Some((Err(Unfinished), Self::Over)),
                };
                // A server that offers none has nothing more to say.
                if !is_stream(&answer) {
                    return None;
                }
                let mut body = answer.into_body();
                let first = passed(&mut body).await;
                first.map(|chunk| (chunk, Self::Passing(body)))
            }
            Self::Passing(mut body) => passed(&mut body)
                .await
                .map(|chunk| (chunk, Self::Passing(body))),
            Self::Over => None,
        }
    }
}

impl Vigil {
    /// Waits until there is something to say.
    async fn watch(&mut self) -> Seen {
        let route = std::sync::Arc::clone(&self.call.route);
        // The first is said at once: some boxes on the way hold a head back until then.
        let Some(told) = self.told.replace(Instant::now()) else {
            return Seen::Quiet;
        };
        let quiet = told + route.spec.comment_after;
        loop {
            let changed = route.slot.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(named) = &mut self.named else {
                return Seen::Cut;
            };
            named.look_again();
            if !named.session.is_waiting() {
                return Seen::Open;
            }
            let opened_elsewhere = named.life.ended.clone();
            if self.again.is_some_and(|again| again <= Instant::now()) {
                let cuts = self.cuts.clone();
                tokio::select! {
                    open = self.attempt() => if open { return Seen::Open },
                    () = cuts.cut() => return Seen::Cut,
                }
            }
            let next = self.again.map_or(quiet, |again| again.min(quiet));
            tokio::select! {
                () = &mut changed => self.again = Some(Instant::now()),
                () = opened_elsewhere.cancelled() => return Seen::Open,
                () = self.cuts.cut() => return Seen::Cut,
                () = sleep_until(next) => if quiet <= Instant::now() { return Seen::Quiet },
            }
        }
    }

    /// Tries to open the session upstream.
    async fn attempt(&mut self) -> bool {
        let mut nothing = Outbound::empty();
        let trying = forward::ready(
            &self.worker,
            &self.request,
            &mut self.call,
            &mut nothing,
            &mut self.named,
        );
        let Err(trouble) = trying.await else {
            return true;
        };
        let absence = match &trouble {
            Trouble::Told(problem) => Absence::of(problem.code()),
            _ => None,
        };
        self.again = (absence != Some(Absence::Person)).then(|| {
            let again = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(PAUSES.1);
            again
        });
        false
    }

    /// What the agent has to be told.
    fn news(&self) -> Bytes {
        let first = self.named.as_ref();
        if !first.is_some_and(|named| named.session.announce_once()) {
            return COMMENT;
        }
        if let Some(named) = first {
            self.worker.state.ledger.mcp().touch(named.key);
        }
        let mut lines: Vec<_> = ANNOUNCEMENTS.map(str::to_owned).into();
        if let Some(named) = first
            && self.call.route.spec.sign_in == SignInTold::Elicited
            && named.session.complete_once()
        {
            lines.insert(0, completion(&named.key.to_string()));
        }
        let events = lines
            .iter()
            .map(|line| format!("event: message\ndata: {line}\n\n"));
        events.collect::<String>().into()
    }
}
