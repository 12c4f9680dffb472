//! The stream on which an agent of a stateless revision listens while its server cannot be asked:
//! it is acknowledged here, and goes on as the server's own when that is there, after the news that
//! lists may have changed. Nothing is lost by asking again: a subscription carries nothing out.

use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::super::answer::{Answered, answer, is_event_stream};
use super::super::trouble::Trouble;
use super::super::{credential, forward};
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
    let cuts = Cuts::of(&scene.call, &scene.worker.stop.begun);
    let vigil = Box::new(Vigil {
        again: next_try(absence, PAUSES.0),
        pause: PAUSES.0,
        wish: Listening::of(one),
        scene,
        cuts,
    });
    events(stream::unfold(Stage::Begun(vigil), Stage::next), id)
}

enum Stage {
    Begun(Box<Vigil>),
    Waiting(Box<Vigil>),
    Passing(BoxBody),
    Over,
}

struct Vigil {
    scene: Scene,
    wish: Listening,
    cuts: Cuts,
    pause: Duration,
    /// When the upstream is asked again; `None`: when a person has signed in.
    again: Option<Instant>,
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

type Step = Option<(Result<Bytes, Unfinished>, Stage)>;

fn next_try(absence: Absence, pause: Duration) -> Option<Instant> {
    (absence == Absence::Passing).then(|| Instant::now() + pause)
}

impl Stage {
    async fn next(self) -> Step {
        match self {
            Self::Begun(vigil) => {
                let first = event(&vigil.wish.acknowledged());
                Some((Ok(first), Self::Waiting(vigil)))
            }
            Self::Waiting(mut vigil) => match vigil.watch().await {
                Seen::Quiet => Some((Ok(COMMENT), Self::Waiting(vigil))),
                Seen::Cut => Some((Err(Unfinished), Self::Over)),
                Seen::Nothing => None,
                Seen::There(answered) => {
                    let Vigil { scene, wish, .. } = *vigil;
                    let news: Vec<_> = wish.news().iter().map(event).collect();
                    let there = answer(&scene.worker, &scene.request, scene.call, *answered, None);
                    // The comment is there where nothing was asked for that is news.
                    let news = [&news.concat()[..], &COMMENT].concat();
                    Some((Ok(news.into()), Self::Passing(there.into_body())))
                }
            },
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
