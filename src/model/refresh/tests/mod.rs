//! Tests of the refresh machine: a table at which events are played by hand, the rules of the
//! protocol as named cases, and properties over random histories.

use super::*;

mod failures;
mod flight;
mod history;
mod nights;
mod resource;
mod unattended;
mod world;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn invalid_grant() -> RefreshFailure {
    RefreshFailure::Rejected(OauthCode("invalid_grant".into()))
}

fn lost() -> RefreshFailure {
    RefreshFailure::Ambiguous(TransientCause::Broken)
}

fn transient(retry_after: Option<u64>) -> RefreshFailure {
    RefreshFailure::Transient {
        cause: TransientCause::Status(503),
        retry_after: retry_after.map(secs),
    }
}

/// A machine, the time, and the events of a token manager in short words.
struct Table {
    machine: Machine,
    now: Timestamp,
    accepted: Generation,
    vain: Generation,
    patience: Duration,
}

impl Table {
    fn restored(restored: Restored) -> Self {
        Self {
            machine: Machine::new(TokenPolicy::default(), RetryPolicy::default(), restored),
            now: at(0),
            accepted: Generation(0),
            vain: Generation(0),
            patience: secs(10),
        }
    }

    /// Signed in at zero for an hour, generation one, and accepted by the resource.
    fn signed_in() -> Self {
        Self::with(true, Some(3600))
    }

    fn with(refreshable: bool, life: Option<u64>) -> Self {
        let mut table = Self::restored(Restored::default());
        table.sign_in(refreshable, life);
        table.accepted = Generation(1);
        table
    }

    fn at(mut self, seconds: u64) -> Self {
        self.now = at(seconds);
        self
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.machine.step(event, self.now, 1.0)
    }

    fn sign_in(&mut self, refreshable: bool, life: Option<u64>) -> Vec<Effect> {
        let event = Event::SignedIn {
            generation: self.machine.generation().next(),
            issued: self.now,
            expires: life.map(|life| self.now.plus(secs(life))),
            refreshable,
        };
        self.step(event)
    }

    fn ask(&mut self, waiter: u64) -> Vec<Effect> {
        self.question(waiter, None)
    }

    fn ask_after_401(&mut self, waiter: u64, generation: u64) -> Vec<Effect> {
        self.question(waiter, Some(Generation(generation)))
    }

    fn question(&mut self, waiter: u64, rejected: Option<Generation>) -> Vec<Effect> {
        self.step(Event::Ask {
            waiter: Waiter(waiter),
            rejected,
            accepted: self.accepted,
            vain: self.vain,
            deadline: self.now.plus(self.patience),
        })
    }

    fn woke(&mut self, demand: Demand) -> Vec<Effect> {
        self.step(Event::Woke { demand })
    }

    /// The intent is kept and the token presented.
    fn present(&mut self) {
        let epoch = self.machine.epoch();
        let effects = self.step(Event::IntentSaved { epoch });
        assert!(matches!(effects[..], [Effect::Call { .. }]), "{effects:?}");
    }

    fn answer(&mut self, life: Option<u64>) -> Vec<Effect> {
        let event = Event::Refreshed {
            epoch: self.machine.epoch(),
            issued: self.now,
            expires: life.map(|life| self.now.plus(secs(life))),
            rotated: true,
        };
        self.step(event)
    }

    fn saved(&mut self) -> Vec<Effect> {
        let (epoch, generation) = (self.machine.epoch(), self.machine.generation());
        self.step(Event::Saved { epoch, generation })
    }

    fn save_failed(&mut self) -> Vec<Effect> {
        let (epoch, generation) = (self.machine.epoch(), self.machine.generation());
        self.step(Event::SaveFailed { epoch, generation })
    }

    /// From the kept intent to the publication.
    fn succeed(&mut self) -> Vec<Effect> {
        self.present();
        let effects = self.answer(Some(3600));
        assert!(matches!(effects[..], [Effect::Save { .. }]), "{effects:?}");
        self.saved()
    }

    fn fail(&mut self, failure: RefreshFailure) -> Vec<Effect> {
        let epoch = self.machine.epoch();
        self.step(Event::Failed { epoch, failure })
    }

    fn state(&self) -> State {
        self.machine.state(self.now)
    }
}

fn intent(presented: u32) -> impl Fn(&Effect) -> bool {
    move |effect| matches!(effect, Effect::SaveIntent { presented: p, .. } if *p == presented)
}

fn ok(waiter: u64, generation: u64) -> Effect {
    Effect::Answer(Waiter(waiter), Ok(Generation(generation)))
}

#[track_caller]
fn refusal(effects: &[Effect]) -> &CredentialError {
    let mut refusals = effects.iter().filter_map(|effect| match effect {
        Effect::Answer(_, Err(error)) => Some(error),
        _ => None,
    });
    refusals.next().expect("somebody is refused")
}
