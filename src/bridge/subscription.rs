//! A subscription of an agent of the stateless revisions: the answer to a request of its own, which
//! goes on for as long as the agent wants it. Where the daemon goes and comes back it is made
//! again, which carries nothing out; the agent hears of that as news, and no second
//! acknowledgement. On a pipe it ends by `notifications/cancelled`, over HTTP by hanging up
//! (MCP 2026-07-28, basic, cancellation).

use std::collections::HashMap;

use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::link::Sent;
use super::message::Message;
use super::streams::{Course, Heard, is_events};
use super::talk::{End, PATIENCE, PAUSES, Talk};
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::standin::{LISTEN, Listening, Wants};

/// Whether `message` is the wish of one.
pub(super) fn is_wish(message: &Message) -> bool {
    message.is(LISTEN) && message.revision.is_some()
}

impl Talk {
    /// Carries a wish until its answer has come.
    pub(super) async fn subscribe(&self, message: &Message) {
        if let Err(problem) = self.subscribed(message).await
            && let Some(line) = self.link.failed(message, &problem)
        {
            self.tell(line).await;
        }
    }

    async fn subscribed(&self, message: &Message) -> Result<(), Problem> {
        let until = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        let mut begun = false;
        loop {
            let session = self.link.session();
            let place = self.place.borrow().clone();
            match self.link.send(Sent::Message(message), &place).await {
                Ok(response) if response.status().is_success() && is_events(&response) => {
                    if begun {
                        self.tell_news(message).await;
                    }
                    let heard = if begun {
                        Heard::Renewed(message)
                    } else {
                        Heard::Answer(message)
                    };
                    let (since, mut course) = (Instant::now(), Course::default());
                    if self.pass_on(response.into_body(), &mut course, heard).await {
                        return Ok(());
                    }
                    begun |= course.heard;
                    // One that breaks off again and again is asked for less and less.
                    if since.elapsed() >= PAUSES.1 {
                        pause = PAUSES.0;
                    }
                }
                Ok(response) => {
                    let epoch = self.epoch.get();
                    match self.answer(message, &place, epoch, response).await? {
                        End::Refused(line) if self.has_lapsed(line.as_ref(), session) => {}
                        End::Refused(Some(line)) => {
                            self.tell(line).await;
                            return Ok(());
                        }
                        _ => return Ok(()),
                    }
                }
                Err(problem) => {
                    let lasts = problem.code() != Code::NotRunning
                        && problem.code() != Code::ConnectionLost;
                    // Who listens already listens for as long as it takes.
                    if lasts || !begun && Instant::now() >= until {
                        return Err(problem);
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn tell_news(&self, message: &Message) {
        let wish: Value = serde_json::from_slice(&message.bytes).unwrap_or_default();
        let wish = Wants::of(wish).map(|one| Listening::of(&one));
        for line in wish.iter().flat_map(Listening::news) {
            self.tell(line.to_string().into()).await;
        }
    }
}

/// The requests of the stateless revisions that run: hanging up is how one is cancelled.
#[derive(Default)]
pub(super) struct Running(HashMap<String, Task>);

struct Task {
    handle: AbortHandle,
    listens: bool,
}

impl Running {
    /// Takes note of one.
    pub(super) fn note(&mut self, message: &Message, handle: AbortHandle) {
        self.0.retain(|_, task| !task.handle.is_finished());
        if let (Some(id), true) = (&message.id, message.revision.is_some()) {
            let listens = is_wish(message);
            self.0.insert(id.get().to_owned(), Task { handle, listens });
        }
    }

    /// Whether `message` cancels one of them, which is done then.
    pub(super) fn cancel(&mut self, message: &Message) -> bool {
        let task = message.cancelled().and_then(|id| self.0.remove(&id));
        task.inspect(|task| task.handle.abort()).is_some()
    }

    /// Ends those that have no end of their own, now that nobody listens.
    pub(super) fn leave(&mut self) {
        let listening = self.0.values().filter(|task| task.listens);
        listening.for_each(|task| task.handle.abort());
    }
}
