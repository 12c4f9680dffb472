//! Requests that are being answered: what a stop waits for. Each thread of the port counts its
//! own, so that no request touches a count that others use; whoever wants to know asks them all.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

/// The requests of one thread.
#[derive(Debug, Default)]
pub(super) struct Tally {
    running: Cell<usize>,
    closing: Cell<bool>,
    landed: Notify,
}

/// A request that is being answered, until this is dropped.
pub(super) struct Flight(Rc<Tally>);

/// How often a thread looks around before it says that it answers nothing: a connection that it was
/// handed is taken up in one turn, its request is read in the next.
const TURNS: usize = 4;

/// Answered with whether anything had to be waited for.
type Question = oneshot::Sender<bool>;

/// The threads of the port.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Vec<mpsc::UnboundedSender<Question>>>);

impl Tally {
    /// Counts a request.
    pub(super) fn begin(self: &Rc<Self>) -> Flight {
        self.running.set(self.running.get() + 1);
        Flight(Rc::clone(self))
    }

    /// Whether connections should end with the answer that is given on them.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }
}

impl Flight {
    /// Counts another one on the same thread.
    pub(super) fn another(&self) -> Self {
        self.0.begin()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let left = self.0.running.get() - 1;
        self.0.running.set(left);
        if left == 0 {
            self.0.landed.notify_one();
        }
    }
}

impl Tallies {
    /// The tally of this thread, which answers from here on.
    pub(super) fn of_thread(&self) -> Rc<Tally> {
        let tally = Rc::new(Tally::default());
        let (ask, mut asked) = mpsc::unbounded_channel::<Question>();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(ask);
        let counted = Rc::clone(&tally);
        actix_rt::spawn(async move {
            while let Some(question) = asked.recv().await {
                counted.closing.set(true);
                let mut waited = false;
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                while counted.running.get() > 0 {
                    waited = true;
                    counted.landed.notified().await;
                }
                let _ = question.send(waited);
            }
        });
        tally
    }

    /// Waits until no request is being answered; connections end with their answers from now on.
    ///
    /// A thread looks after what it has been handed before it answers this: a connection that was
    /// accepted earlier is not overlooked, and what has been answered has been flushed.
    pub async fn all_answered(&self) {
        loop {
            let asked: Vec<_> = {
                let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.iter().filter_map(ask).collect()
            };
            let mut waited = false;
            for answer in asked {
                waited |= answer.await.unwrap_or(false);
            }
            // While one was waited for, another may have begun again.
            if !waited {
                return;
            }
        }
    }
}

fn ask(thread: &mpsc::UnboundedSender<Question>) -> Option<oneshot::Receiver<bool>> {
    let (question, answer) = oneshot::channel();
    thread.send(question).ok()?;
    Some(answer)
}
