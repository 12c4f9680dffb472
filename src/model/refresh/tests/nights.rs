//! Long nights in virtual time: an outage around the end of the token, a laptop that sleeps, and
//! clocks that are set.

use super::*;

/// Agents that call every second, timers that go off when they should, and an authorization
/// server that is gone for a while.
struct Night {
    table: Table,
    wake: Option<Timestamp>,
    waiter: u64,
    /// When the refresh token was presented.
    calls: Vec<Timestamp>,
    /// What the agents were told.
    served: Vec<(Timestamp, Result<Generation, CredentialError>)>,
}

impl Night {
    fn new(table: Table) -> Self {
        let wake = Some(at(3000));
        Self {
            table,
            wake,
            waiter: 0,
            calls: Vec::new(),
            served: Vec::new(),
        }
    }

    fn take(&mut self, effects: Vec<Effect>, failure: Option<&RefreshFailure>) {
        for effect in effects {
            match effect {
                Effect::SaveIntent { epoch, .. } => {
                    let more = self.table.step(Event::IntentSaved { epoch });
                    self.take(more, failure);
                }
                Effect::Call { .. } => {
                    self.calls.push(self.table.now);
                    let more = match failure {
                        Some(failure) => self.table.fail(failure.clone()),
                        None => self.table.answer(Some(3600)),
                    };
                    self.take(more, failure);
                }
                Effect::Save { .. } => {
                    let more = self.table.saved();
                    self.take(more, failure);
                }
                Effect::Answer(_, answer) => self.served.push((self.table.now, answer)),
                Effect::WakeAt(at) => self.wake = Some(at),
                Effect::Forget { .. } | Effect::NoteSignedOut(_) => panic!("the token is lost"),
                _ => {}
            }
        }
    }

    /// Goes on until `end`, while refreshes fail so, or work.
    fn until(&mut self, end: Timestamp, failure: Option<&RefreshFailure>) {
        let mut tick = self.table.now;
        while tick < end {
            tick = tick.plus(secs(1));
            while let Some(wake) = self.wake.filter(|wake| *wake <= tick) {
                self.wake = None;
                self.table.now = self.table.now.max(wake);
                let effects = self.table.woke(Demand::Used);
                self.take(effects, failure);
            }
            self.table.now = tick;
            self.waiter += 1;
            let effects = self.table.ask(self.waiter);
            self.take(effects, failure);
        }
    }
}

#[test]
fn pain_02_half_an_hour_of_outage_around_the_end_of_the_token() {
    for failure in [
        transient(None),
        transient(Some(45)),
        lost(),
        RefreshFailure::Transient {
            cause: TransientCause::Connect("no such host".into()),
            retry_after: None,
        },
    ] {
        let mut night = Night::new(Table::signed_in().at(2700));
        let (end, over) = (at(3600), at(2700 + 1800));
        night.until(over, Some(&failure));
        assert!(night.calls.len() > 20, "it is tried again and again");
        for (when, answer) in &night.served {
            match answer {
                Ok(generation) => assert!(*when < end && *generation == Generation(1)),
                Err(CredentialError::Unavailable { .. }) => assert!(*when >= end, "{failure:?}"),
                Err(other) => panic!("{failure:?}: {other:?}"),
            }
        }
        // Not more often than the schedule says, nor than the server asked for. The only prompt
        // repetition is that of the first answer that was lost.
        let policy = RetryPolicy::default();
        let asked = matches!(
            failure,
            RefreshFailure::Transient {
                retry_after: Some(_),
                ..
            }
        )
        .then(|| secs(45));
        let offline = matches!(
            failure,
            RefreshFailure::Transient {
                cause: TransientCause::Connect(_),
                ..
            }
        );
        for (number, pair) in night.calls.windows(2).enumerate() {
            let attempt = u32::try_from(number + 1).expect("few");
            let mut pause = policy.pause(attempt, 1.0, asked);
            if offline {
                pause = pause.min(secs(8));
            }
            let gap = pair[1].since(pair[0]);
            let prompt = number == 0 && failure == lost();
            assert!(
                gap >= pause || prompt,
                "{failure:?}: {number} after {gap:?}"
            );
        }
        // And then it mends itself: nobody does anything.
        let told = night.served.len();
        night.until(over.plus(secs(46)), None);
        let (_, last) = night.served.last().expect("asked every second");
        assert_eq!(last, &Ok(Generation(2)), "{failure:?}");
        let mended = night.served[told..]
            .iter()
            .filter(|(_, answer)| answer.is_ok());
        assert!(mended.count() > 1);
        assert_eq!(night.table.state(), State::Ready);
    }
}

/// Eight agents that ask at `to`, where the last thing known is from `from`; how often the token
/// went out, and what they were told.
fn eight_after(from: u64, to: Timestamp) -> (usize, Vec<Result<Generation, CredentialError>>) {
    let mut night = Night::new(Table::signed_in().at(from));
    night.table.now = to;
    let mut running = Vec::new();
    // The server answers when all have asked.
    for waiter in 0..8 {
        running.extend(night.table.ask(waiter));
    }
    night.take(running, None);
    let answers = night.served.into_iter().map(|(_, answer)| answer);
    (night.calls.len(), answers.collect())
}

#[test]
fn a_clock_that_jumps_costs_one_refresh_at_most_and_ends_nothing_early() {
    let hours = |hours: u64| secs(hours * 3600);
    // Two days of sleep: over for everybody, and one refresh for all of them.
    let (calls, answers) = eight_after(100, at(100).plus(hours(48)));
    assert_eq!((calls, answers), (1, vec![Ok(Generation(2)); 8]));
    // An hour back, and a few minutes ahead within the life: nothing.
    let day = hours(24).as_secs();
    let mut table = Table::restored(Restored::default()).at(day);
    table.sign_in(true, Some(3600));
    table.accepted = Generation(1);
    for now in [at(day).minus(hours(1)), at(day).plus(secs(300))] {
        table.now = now;
        assert_eq!(table.ask(1), [ok(1, 1)]);
        assert_eq!(table.state(), State::Ready);
    }
    // Five minutes ahead, over the end of the token.
    let (calls, answers) = eight_after(3400, at(3700));
    assert_eq!((calls, answers), (1, vec![Ok(Generation(2)); 8]));
}
