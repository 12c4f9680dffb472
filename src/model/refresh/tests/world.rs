//! A world around the machine: a store, an authorization server and callers that may do anything
//! in any order. It carries effects out, and checks each of them against what the machine promises.

use std::collections::BTreeSet;

use super::*;

/// What the machine asked for and nobody has done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Intent { epoch: u64 },
    Call { epoch: u64 },
    Save { epoch: u64, generation: Generation },
}

/// How a job ends.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Good { rotated: bool, life: Option<u64> },
    Refused,
    Transient(Option<u64>),
    Lost,
}

pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) now: Timestamp,
    pub(super) jobs: Vec<Job>,
    next_waiter: u64,
    open: BTreeSet<u64>,
    timer: Option<Timestamp>,
    /// The epoch of the durable intent.
    intent: Option<u64>,
    stored: Generation,
    published: Generation,
    unanswered: u32,
    refreshes: u32,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            machine: Table::signed_in().machine,
            now: at(0),
            jobs: Vec::new(),
            next_waiter: 0,
            open: BTreeSet::new(),
            timer: None,
            intent: None,
            stored: Generation(1),
            published: Generation(1),
            unanswered: 0,
            refreshes: 0,
        }
    }

    pub(super) fn ask(
        &mut self,
        rejected: Option<Generation>,
        accepted: Generation,
        vain: Generation,
        patience: u64,
    ) {
        let waiter = self.new_waiter();
        let deadline = self.now.plus(secs(patience));
        self.apply(Event::Ask {
            waiter,
            rejected,
            accepted,
            vain,
            deadline,
        });
    }

    pub(super) fn force(&mut self) {
        let waiter = self.new_waiter();
        self.apply(Event::Force { waiter });
    }

    fn new_waiter(&mut self) -> Waiter {
        self.next_waiter += 1;
        self.open.insert(self.next_waiter);
        Waiter(self.next_waiter)
    }

    pub(super) fn abandon(&mut self, nth: usize) {
        if let Some(waiter) = self.open.iter().nth(nth % self.open.len().max(1)).copied() {
            self.open.remove(&waiter);
            self.apply(Event::Abandon(Waiter(waiter)));
        }
    }

    pub(super) fn sign_in(&mut self, refreshable: bool) {
        let generation = self.machine.generation().next();
        self.stored = generation;
        self.apply(Event::SignedIn {
            generation,
            issued: self.now,
            expires: Some(self.now.plus(secs(3600))),
            refreshable,
        });
    }

    /// The process ends here and another one starts with what the store holds.
    pub(super) fn restart(&mut self) {
        let restored = Restored {
            generation: self.stored,
            refreshable: self.machine.refreshable,
            unanswered: self.intent.map_or(0, |_| self.unanswered),
            signed_out: self.machine.out.clone(),
        };
        self.unanswered = restored.unanswered;
        self.machine = Machine::new(TokenPolicy::default(), RetryPolicy::default(), restored);
        self.published = self.stored;
        self.intent = None;
        self.jobs.clear();
        self.open.clear();
        self.timer = None;
    }

    /// Does one of the open jobs, the oldest for `nth` zero.
    pub(super) fn finish(&mut self, nth: usize, outcome: &Outcome) {
        if self.jobs.is_empty() {
            return;
        }
        let job = self.jobs.remove(nth % self.jobs.len());
        let good = matches!(outcome, Outcome::Good { .. });
        let event = match job {
            Job::Intent { epoch } if good => {
                self.intent = Some(epoch);
                Event::IntentSaved { epoch }
            }
            Job::Intent { epoch } => {
                let cause = TransientCause::Store("full".into());
                Event::IntentFailed { epoch, cause }
            }
            Job::Call { epoch } => self.result(epoch, outcome),
            Job::Save { epoch, generation } if good => {
                if epoch == self.machine.epoch() {
                    self.stored = self.stored.max(generation);
                }
                Event::Saved { epoch, generation }
            }
            Job::Save { epoch, generation } => Event::SaveFailed { epoch, generation },
        };
        self.apply(event);
    }

    fn result(&self, epoch: u64, outcome: &Outcome) -> Event {
        let failure = match outcome {
            Outcome::Good { rotated, life } => {
                return Event::Refreshed {
                    epoch,
                    issued: self.now,
                    expires: life.map(|life| self.now.plus(secs(life))),
                    rotated: *rotated,
                };
            }
            Outcome::Refused => invalid_grant(),
            Outcome::Transient(retry_after) => transient(*retry_after),
            Outcome::Lost => lost(),
        };
        Event::Failed { epoch, failure }
    }

    /// Everything goes well from here on, and nobody new comes.
    pub(super) fn settle(&mut self) {
        let good = Outcome::Good {
            rotated: true,
            life: Some(3600),
        };
        for _ in 0..1000 {
            if !self.jobs.is_empty() {
                self.finish(0, &good);
            } else if self.open.is_empty() && !self.machine.is_unsaved() {
                return;
            } else {
                let timer = self.timer.expect("who waits, waits for a job or a timer");
                self.now = self.now.max(timer);
                let demand = Demand::Idle;
                self.apply(Event::Woke { demand });
            }
        }
        panic!("never settles: {:?}", self.machine);
    }

    /// Plays one event and checks all that follows from it.
    pub(super) fn apply(&mut self, event: Event) {
        let before = self.machine.clone();
        let was_usable = before.usable(self.now);
        let fails = matches!(
            event,
            Event::Failed { .. }
                | Event::IntentFailed { .. }
                | Event::SaveFailed { .. }
                | Event::Woke { .. }
                | Event::Nudge
                | Event::Abandon(_)
        );
        let calling = matches!(before.phase, Phase::Calling);
        if let Event::Failed { epoch, failure } = &event
            && *epoch == before.epoch
            && calling
            && matches!(failure, RefreshFailure::Transient { .. })
        {
            self.unanswered -= 1;
        }
        let effects = self.machine.step(event.clone(), self.now, 0.5);
        let stale = match &event {
            Event::IntentSaved { epoch }
            | Event::IntentFailed { epoch, .. }
            | Event::Refreshed { epoch, .. }
            | Event::Failed { epoch, .. }
            | Event::Saved { epoch, .. }
            | Event::SaveFailed { epoch, .. } => *epoch != before.epoch,
            _ => false,
        };
        let timer_only = effects.iter().all(|e| matches!(e, Effect::WakeAt(_)));
        assert!(
            !stale || timer_only,
            "a result of an earlier epoch: {effects:?}"
        );
        for effect in &effects {
            self.check(effect, &event, &before);
            self.carry_out(effect, &event);
        }
        assert!(
            !fails || !was_usable || self.machine.usable(self.now),
            "{event:?}"
        );
        assert!(
            self.machine.generation >= before.generation,
            "generations only grow"
        );
        assert!(self.machine.waiters.len() <= MAX_WAITERS);
        let waiting: BTreeSet<_> = self.machine.waiters.iter().map(|w| w.waiter.0).collect();
        assert_eq!(
            waiting, self.open,
            "every question is answered once: {event:?}"
        );
        let paused = matches!(self.machine.phase, Phase::Paused { .. });
        assert!(
            waiting.is_empty() || self.machine.is_busy() || paused && self.machine.may_refresh(),
            "somebody waits for nothing after {event:?}"
        );
    }

    fn check(&self, effect: &Effect, event: &Event, before: &Machine) {
        let open_call = self.jobs.contains(&Job::Call {
            epoch: self.machine.epoch,
        });
        match effect {
            Effect::SaveIntent { presented, .. } => {
                assert!(!open_call && !before.is_busy() || matches!(event, Event::Failed { .. }));
                assert!(self.machine.out.is_none() && self.machine.refreshable);
                assert_eq!(*presented, self.unanswered + 1);
                if let Event::Failed { failure, .. } = event {
                    assert!(matches!(failure, RefreshFailure::Ambiguous(_)));
                    assert_eq!(
                        self.unanswered, 1,
                        "one prompt retry of a lost answer at most"
                    );
                }
                if let Phase::Paused { pause, by, .. } = &before.phase
                    && !pause.is_over(self.now)
                {
                    let forced = matches!(event, Event::Force { .. });
                    assert!(
                        forced && *by == PausedBy::Us,
                        "a pause is kept by {event:?}"
                    );
                }
                let forced = matches!(event, Event::Force { .. } | Event::Failed { .. });
                assert!(forced || !self.machine.is_resting(), "a rest is kept");
            }
            Effect::Call { epoch, .. } => {
                assert_eq!(
                    self.intent,
                    Some(*epoch),
                    "no call before its durable intent"
                );
                assert!(!open_call, "one call at a time");
            }
            Effect::Save { .. } => assert!(!open_call, "a save wipes the intent of a call"),
            Effect::Publish { generation, .. } => {
                assert!(*generation > self.published, "generations only grow");
                let due = match event {
                    Event::SignedIn { .. } => true,
                    Event::Saved {
                        generation: saved, ..
                    }
                    | Event::SaveFailed {
                        generation: saved, ..
                    } => saved == generation,
                    _ => false,
                };
                assert!(due, "nothing is published before it is saved, or cannot be");
            }
            Effect::Forget { .. } => {
                let failed = matches!(
                    event,
                    Event::Failed {
                        failure: RefreshFailure::Rejected(_),
                        ..
                    }
                );
                assert!(failed, "only a definite no ends a grant: {event:?}");
            }
            Effect::Retract => assert!(
                matches!(
                    event,
                    Event::SignedOut(_)
                        | Event::Ask {
                            rejected: Some(_),
                            ..
                        }
                        // Nothing can replace a token that the resource had rejected before.
                        | Event::Failed {
                            failure: RefreshFailure::Rejected(_),
                            ..
                        }
                ),
                "{event:?}"
            ),
            Effect::Answer(_, Ok(generation)) => {
                assert!(
                    *generation <= self.published,
                    "only what is published is handed out"
                );
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, effect: &Effect, event: &Event) {
        match effect {
            Effect::Answer(waiter, _) => {
                assert!(
                    self.open.remove(&waiter.0),
                    "answered twice after {event:?}"
                );
            }
            Effect::SaveIntent { epoch, .. } => {
                self.intent = None;
                self.jobs.push(Job::Intent { epoch: *epoch });
            }
            Effect::Call { epoch, .. } => {
                self.unanswered += 1;
                self.jobs.push(Job::Call { epoch: *epoch });
            }
            Effect::Save { epoch, generation } => {
                if matches!(event, Event::Refreshed { .. }) {
                    self.unanswered = 0;
                    self.refreshes += 1;
                }
                self.jobs.push(Job::Save {
                    epoch: *epoch,
                    generation: *generation,
                });
            }
            Effect::Publish { generation, .. } => {
                if matches!(event, Event::SignedIn { .. }) {
                    self.unanswered = 0;
                }
                self.published = *generation;
            }
            Effect::Retract | Effect::Forget { .. } => self.unanswered = self.machine.unanswered,
            Effect::WakeAt(timer) => self.timer = Some(*timer),
            Effect::ClearIntent => self.intent = None,
            Effect::NoteSignedOut(_) | Effect::Renudge => {}
        }
    }
}
