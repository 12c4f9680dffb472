//! The stream on which an agent of a stateless revision listens. It is the server's own for as long
//! as that goes on. While its server cannot be asked, at the start or after it broke, it stays open
//! here, and goes on as the server's own when that is there, after the news that lists may have
//! changed. Nothing is lost by asking again: a subscription carries nothing out.

use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::super::answer::{Answered, answer, is_event_stream};
use super::super::heard::Heard;
use super::super::sse::Edge;
use super::super::trouble::Trouble;
use super::super::{credential, forward};
use super::doubled::Doubled;
use super::patience::{COMMENT, Cuts, Unfinished, event, events, passed};
use super::stream::PAUSES;
use super::{Scene, is_outage};
use crate::ledger::Spared;
use crate::model::mcp::standin::{Absence, Listening, Wants};

/// The answer to `one`, which wants to listen.
pub(super) fn open(scene: Scene, one: &Wants, absence: Absence) -> HttpResponse {
    let id = scene.call.id;
    let now = scene.worker.state.clock.now();
    scene.call.spared(Spared::Absence, now);
    let vigil = Vigil::of(scene, one, next_try(absence, PAUSES.0));
    events(stream::unfold(Stage::Begun(vigil), Stage::next), id)
}

/// The answer to `one`, which its server has answered with a stream: that, for as long as it goes
/// on, and then others in its place.
pub(super) fn follow(scene: Scene, one: &Wants, answered: Answered) -> HttpResponse {
    let vigil = Vigil::of(scene, one, None);
    let theirs = vigil.answer(answered);
    // What an answer is refused with is no stream.
    if !super::patience::is_stream(&theirs) {
        return theirs;
    }
    theirs.map_body(|_, body| {
        let passing = Stage::Passing(Box::new(Passing::of(vigil, body, Doubled::none())));
        BoxBody::new(BodyStream::new(Box::pin(stream::unfold(
            passing,
            Stage::next,
        ))))
    })
}

enum Stage {
    Begun(Box<Vigil>),
    Waiting(Box<Vigil>),
    Passing(Box<Passing>),
    Over,
}

struct Vigil {
    scene: Scene,
    wish: Listening,
    cuts: Cuts,
    pause: Duration,
    /// When the upstream is asked again; `None`: when a person has signed in.
    again: Option<Instant>,
    /// Whether the server had answered before.
    has_broken: bool,
}

/// The server's own stream.
struct Passing {
    vigil: Box<Vigil>,
    body: BoxBody,
    /// Whether it has come to its end.
    heard: Heard,
    /// Where the agent is in it.
    edge: Edge,
    doubled: Doubled,
    since: Instant,
}

/// What a vigil comes to.
enum Seen {
    /// The server answers with its own stream.
    There(Box<Answered>),
    /// Nothing has happened for a while.
    Quiet,
    /// The server has no such stream.
    Nothing,
    Cut,
}

/// What the agent gets next, and what comes after it.
type Step = (Result<Bytes, Unfinished>, Stage);

fn broken() -> Step {
    (Err(Unfinished), Stage::Over)
}

fn next_try(absence: Absence, pause: Duration) -> Option<Instant> {
    (absence == Absence::Passing).then(|| Instant::now() + pause)
}

impl Stage {
    async fn next(self) -> Option<Step> {
        let mut stage = self;
        loop {
            stage = match stage {
                Self::Begun(vigil) => {
                    let first = event(&vigil.wish.acknowledged());
                    return Some((Ok(first), Self::Waiting(vigil)));
                }
                Self::Waiting(mut vigil) => match vigil.watch().await {
                    Seen::Quiet => return Some((Ok(COMMENT), Self::Waiting(vigil))),
                    Seen::Cut => return Some(broken()),
                    Seen::Nothing if vigil.has_broken => return Some(broken()),
                    Seen::Nothing => return None,
                    Seen::There(answered) => {
                        let news: Vec<_> = vigil.wish.news().iter().map(event).collect();
                        // The comment is there where nothing was asked for that is news.
                        let news = [&news.concat()[..], &COMMENT].concat();
                        let passing = vigil.goes_on(*answered);
                        return Some((Ok(news.into()), Self::Passing(Box::new(passing))));
                    }
                },
                Self::Passing(mut passing) => match passing.next().await {
                    Came::Some(chunk) => return Some((Ok(chunk), Self::Passing(passing))),
                    Came::End => return None,
                    Came::Cut => return Some(broken()),
                    Came::Break => Self::Waiting(passing.breaks()),
                },
                Self::Over => return None,
            }
        }
    }
}

/// What comes of the server's own stream.
enum Came {
    Some(Bytes),
    End,
    /// It broke, and another one can take its place.
    Break,
    /// It is cut for good.
    Cut,
}

impl Passing {
    fn of(vigil: Box<Vigil>, body: BoxBody, doubled: Doubled) -> Self {
        Self {
            vigil,
            body,
            heard: Heard::default(),
            edge: Edge::new(),
            doubled,
            since: Instant::now(),
        }
    }

    async fn next(&mut self) -> Came {
        loop {
            let between = self.edge.is_between();
            let next = tokio::select! {
                biased;
                () = self.vigil.cuts.cut(), if between => return Came::Cut,
                next = passed(&mut self.body) => next,
            };
            match next {
                Some(Ok(chunk)) => {
                    self.heard.pass(&chunk);
                    let chunk = self.doubled.pass(chunk);
                    self.edge.pass(&chunk);
                    if !chunk.is_empty() {
                        return Came::Some(chunk);
                    }
                }
                None if self.heard.is_answered() => return Came::End,
                Some(Err(_)) if self.heard.is_answered() || !between => return Came::Cut,
                None if !between => return Came::End,
                Some(Err(_)) | None => return Came::Break,
            }
        }
    }
}

impl Passing {
    /// It has broken.
    fn breaks(self) -> Box<Vigil> {
        let mut vigil = self.vigil;
        let now = Instant::now();
        vigil.again = Some(now);
        if now - self.since >= PAUSES.1 {
            vigil.pause = PAUSES.0;
        } else if vigil.has_broken {
            // A server that answers and breaks off again and again is asked less and less.
            vigil.again = Some(now + vigil.pause);
            vigil.pause = (vigil.pause * 2).min(PAUSES.1);
        }
        vigil.has_broken = true;
        vigil
    }
}

impl Vigil {
    fn of(scene: Scene, one: &Wants, again: Option<Instant>) -> Box<Self> {
        Box::new(Self {
            cuts: Cuts::of(&scene.call, &scene.worker.stop.begun),
            pause: PAUSES.0,
            again,
            wish: Listening::of(one),
            has_broken: false,
            scene,
        })
    }

    /// The server's answer as the agent gets it.
    fn answer(&self, mut answered: Answered) -> HttpResponse {
        // What is done when it breaks is done here.
        answered.stream = None;
        let Scene {
            worker,
            request,
            call,
            ..
        } = &self.scene;
        answer(worker, request, call.another(), answered, None)
    }

    /// It goes on as the server's own.
    fn goes_on(mut self: Box<Self>, answered: Answered) -> Passing {
        if self.has_broken {
            let now = self.scene.worker.state.clock.now();
            self.scene.call.spared(Spared::Break, now);
        }
        self.has_broken = true;
        let body = self.answer(answered).into_body();
        Passing::of(self, body, Doubled::default())
    }

    /// Waits until there is something to say.
    async fn watch(&mut self) -> Seen {
        let route = std::sync::Arc::clone(&self.scene.call.route);
        let quiet = Instant::now() + route.spec.comment_after;
        loop {
            let changed = route.slot.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let waits = self.again.is_none();
            if waits && credential::published(&self.scene.worker.state, &route).is_some() {
                self.again = Some(Instant::now());
            }
            if self.again.is_some_and(|again| again <= Instant::now()) {
                let cuts = self.cuts.clone();
                let tried = tokio::select! {
                    tried = self.attempt() => tried,
                    () = cuts.cut() => return Seen::Cut,
                };
                if let Some(seen) = tried {
                    return seen;
                }
            }
            let next = self.again.map_or(quiet, |again| again.min(quiet));
            tokio::select! {
                () = &mut changed => {}
                () = self.cuts.cut() => return Seen::Cut,
                () = sleep_until(next) => if quiet <= Instant::now() { return Seen::Quiet },
            }
        }
    }

    /// Asks the server; `None` where it cannot be asked yet.
    async fn attempt(&mut self) -> Option<Seen> {
        let scene = &mut self.scene;
        let worker = Rc::clone(&scene.worker);
        let asking = forward::exchange(&worker, &scene.request, &mut scene.call, &mut scene.body);
        let absence = match Box::pin(asking).await {
            Ok(answered) if is_outage(&scene.call, &answered.response) => Absence::Passing,
            Ok(answered) if is_event_stream(answered.response.headers()) => {
                return Some(Seen::There(Box::new(answered)));
            }
            Err(Trouble::Told(problem)) => match Absence::of(problem.code()) {
                Some(absence) => absence,
                None => return Some(Seen::Nothing),
            },
            Ok(_) | Err(_) => return Some(Seen::Nothing),
        };
        self.again = next_try(absence, self.pause);
        self.pause = (self.pause * 2).min(PAUSES.1);
        None
    }
}
