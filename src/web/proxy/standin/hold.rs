//! A call that waits for a person to sign in, and goes out then. It was not carried out before:
//! what brought it here is that there was nothing to send it with, or that the upstream refused
//! what it was sent with.

use std::rc::Rc;

use actix_web::HttpResponse;
use tokio::time::{Instant, timeout_at};

use super::super::super::AgentState;
use super::super::super::routes::RouteEntry;
use super::super::{answer, credential, forward};
use super::patience::{Kept, patient};
use super::{Scene, link, there};
use crate::model::catalogue::Problem;
use crate::model::mcp::standin::{Absence, Part, Wanted, Wants, part};

/// Holds `wants` for as long as is configured.
pub(super) async fn held(scene: Scene, wants: Vec<Wants>) -> HttpResponse {
    let until = Instant::now() + scene.call.route.spec.hold;
    let asks_for_it = wants.iter().any(|one| one.wanted == Wanted::SignIn);
    let link = if asks_for_it {
        link(&scene.worker, &scene.call.route).await
    } else {
        None
    };
    let kept = Kept::of(&scene, &wants);
    let work = async move {
        let arriving = arrived(&scene.worker.state, &scene.call.route, until);
        // Where there is no room to wait, nobody comes either.
        let arrived = scene.call.route.room.wait(scene.call.who(), arriving).await;
        if arrived.unwrap_or(false) {
            return go_on(scene, &wants).await;
        }
        let standing = scene.standing();
        // Now that nobody has come, they are told.
        let parts: Vec<_> = wants
            .iter()
            .map(|one| match part(&one.wanted, standing, Absence::Person) {
                Part::Hold => Part::Tell,
                part => part,
            })
            .collect();
        scene.tell(&wants, &parts, link.as_deref())
    };
    patient(Box::pin(work), kept).await
}

async fn go_on(mut scene: Scene, wants: &[Wants]) -> HttpResponse {
    if let [one] = wants
        && one.wanted == Wanted::SignIn
    {
        let ready = forward::ready(
            &scene.worker,
            &scene.request,
            &mut scene.call,
            &mut scene.body,
            &mut scene.named,
        );
        return match ready.await {
            Ok(()) => there(&scene.call, one),
            Err(trouble) => scene.refuse_for(trouble),
        };
    }
    let worker = Rc::clone(&scene.worker);
    scene.call.has_waited();
    forward::again(&worker, &scene.request, scene.call, scene.body).await
}

impl Scene {
    fn refuse_for(self, trouble: super::Trouble) -> HttpResponse {
        let asked = super::Asked::of(self.body.bytes());
        answer::refuse(&self.call, trouble, &asked)
    }

    /// What the person is waited for with.
    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// Waits for a credential until then; whether there is one.
async fn arrived(state: &AgentState, route: &RouteEntry, until: Instant) -> bool {
    loop {
        let changed = route.slot.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if credential::published(state, route).is_some() {
            return true;
        }
        if timeout_at(until, changed).await.is_err() {
            return false;
        }
    }
}
