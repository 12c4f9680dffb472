//! The end of a daemon: streams end, calls get their time, running refreshes are waited for, the
//! store is closed. The lock goes last.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::sockets::Keeper;
use super::{Running, housekeeping, people, summary, traces};
use crate::actor::upkeep::{Roll, write_roll};
use crate::model::catalogue::Problem;
use crate::paths::InstanceLock;
use crate::web::control::End;

/// How long a running refresh is waited for: its answer may be the only copy of a rotated token.
const REFRESHES: Duration = Duration::from_secs(45);

/// What an event that is on its way when its call's time is over gets to be whole.
const LAST_EVENT: Duration = Duration::from_secs(1);

/// How long the last bytes of answers may take to those who read slowly.
const SLOW_READERS: Duration = Duration::from_millis(250);

/// The signals that a daemon listens to from now on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Wants the state in the log.
    tell: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            tell: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits until somebody wants it to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What has been decided about the end.
struct Decision {
    drain: Duration,
    /// Who has the sockets from now on.
    keeper: Keeper,
}

impl Running {
    /// Serves until it is told to stop, and stops.
    pub(super) async fn until_stopped(
        mut self,
        lock: &InstanceLock,
        mut signals: Signals,
        watch: bool,
    ) -> Result<(), Problem> {
        let tending = housekeeping::tend(self.control.clone(), watch, self.log.clone());
        let tending = actix_rt::spawn(tending);
        let keeping = actix_rt::spawn(traces::keep(self.directory.clone()));
        let calling = actix_rt::spawn(people::call(self.directory.clone()));
        let decision = self.decided(&mut signals, lock).await;
        info!(drain = ?decision.drain, "stopping");
        notify_manager(decision.drain);
        self.drain(&decision, &mut signals).await;
        tending.abort();
        keeping.abort();
        calling.abort();
        self.directory.deps().store.end_refreshes();
        let settled = self.directory.settle();
        if tokio::time::timeout(REFRESHES, settled).await.is_err() {
            warn!("a refresh did not end in time");
        }
        write_roll(&self.directory, &mut Roll::default()).await;
        traces::write(&self.directory).await;
        self.answer_stragglers().await;
        self.commands.stop(false).await;
        if let Err(error) = self.directory.deps().store.close().await {
            warn!(%error, "the store was not closed");
        }
        info!("stopped");
        Ok(())
    }

    /// Does what signals and commands want until one of them is the end.
    async fn decided(&mut self, signals: &mut Signals, lock: &InstanceLock) -> Decision {
        let mut keeper = self.keeper;
        let config = std::sync::Arc::clone(&self.directory.deps().config);
        let configured = || config.load().server.drain;
        let drain = loop {
            tokio::select! {
                _ = signals.terminate.recv() => break configured(),
                _ = signals.interrupt.recv() => break configured(),
                _ = signals.hangup.recv() => match (self.control.reload)() {
                    Ok(_) => info!("configuration reloaded"),
                    Err(problem) => warn!(problem = problem.message(), "configuration kept"),
                },
                _ = signals.tell.recv() => {
                    let control = self.control.clone();
                    // An account that takes its time keeps no other signal waiting.
                    drop(actix_rt::spawn(async move { summary::log(&control).await }));
                }
                end = self.ends.recv() => match end {
                    None => break configured(),
                    Some(End::Stop { drain }) => break drain.unwrap_or_else(configured),
                    Some(End::HandOver { to, done }) => {
                        if self.handed_over(&to, done, lock).await {
                            keeper = Keeper::Another;
                            break configured();
                        }
                    }
                },
            }
        };
        Decision { drain, keeper }
    }

    async fn handed_over(
        &self,
        to: &std::path::Path,
        done: oneshot::Sender<Result<(), String>>,
        lock: &InstanceLock,
    ) -> bool {
        let given = match &self.copies {
            Some(copies) => copies.give(to).await,
            None => Err("it stops already".to_owned()),
        };
        match &given {
            Ok(()) => {
                info!("another daemon takes over");
                lock.leave_socket();
            }
            Err(why) => warn!(why, "another daemon could not take over"),
        }
        let over = given.is_ok();
        // Whoever asked may have gone; the other daemon has the sockets all the same.
        let _ = done.send(given);
        over
    }

    /// Lets what runs come to its end.
    async fn drain(&mut self, decision: &Decision, signals: &mut Signals) {
        if decision.keeper == Keeper::Another {
            // Whoever comes next answers those who knock from now on, there as well.
            self.commands.pause().await;
        }
        if decision.keeper == Keeper::Nobody {
            // Nobody is to wait for an answer that does not come.
            self.copies = None;
        }
        self.agents.pause().await;
        let (state, drain) = (self.state.clone(), decision.drain);
        let stop = state.stop.clone();
        stop.begun.cancel();
        actix_rt::spawn(async move {
            tokio::time::sleep(drain).await;
            stop.over.cancel();
            tokio::time::sleep(LAST_EVENT).await;
            stop.cut.cancel();
        });
        tokio::select! {
            () = state.tallies.all_answered() => {}
            () = state.stop.cut.cancelled() => {}
            () = signals.end() => {
                state.stop.over.cancel();
                state.stop.cut.cancel();
            }
        }
        // Connections on which nothing is asked are kept open by agents; nobody waits for those.
        match decision.keeper {
            Keeper::Nobody => {
                let stopped = self.agents.stop(true);
                let _ = tokio::time::timeout(SLOW_READERS, stopped).await;
            }
            // A server that stops drops connections that it has accepted and not looked at yet.
            Keeper::Another => tokio::time::sleep(SLOW_READERS).await,
        }
    }

    /// Answers those that were accepted while the acceptor had not heard of the stop.
    async fn answer_stragglers(&self) {
        let answered = self.state.tallies.all_answered();
        let _ = tokio::time::timeout(LAST_EVENT, answered).await;
    }
}

/// Tells the service manager that this may take its time.
fn notify_manager(drain: Duration) {
    let longest = drain + LAST_EVENT + REFRESHES + Duration::from_secs(15);
    let longest = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    let state = [
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(longest),
    ];
    // Without a manager there is nobody to tell.
    let _ = sd_notify::notify(&state);
}
