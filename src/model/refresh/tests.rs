use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn fresh(refreshable: bool) -> Machine {
    let restored = Restored {
        refreshable,
        ..Restored::default()
    };
    let mut machine = Machine::new(TokenPolicy::default(), RetryPolicy::default(), restored);
    let event = Event::SignedIn {
        generation: Generation(1),
        issued: at(0),
        expires: Some(at(3600)),
        refreshable,
    };
    machine.step(event, at(0), 0.0);
    machine
}

fn ask(waiter: u64, rejected: Option<u64>, accepted: u64) -> Event {
    Event::Ask {
        waiter: Waiter(waiter),
        rejected: rejected.map(Generation),
        accepted: Generation(accepted),
    }
}

fn begin(machine: &mut Machine, now: Timestamp) {
    let epoch = machine.epoch();
    let effects = machine.step(Event::IntentSaved { epoch }, now, 0.0);
    assert!(matches!(effects[..], [Effect::Call { .. }]), "{effects:?}");
}

fn succeed(machine: &mut Machine, now: Timestamp) -> Vec<Effect> {
    let epoch = machine.epoch();
    let expires = Some(now.plus(Duration::from_hours(1)));
    let event = Event::Refreshed {
        epoch,
        issued: now,
        expires,
        rotated: true,
    };
    assert_eq!(machine.step(event, now, 0.0), [Effect::Save { epoch }]);
    machine.step(Event::Saved { epoch }, now, 0.0)
}

fn fail(machine: &mut Machine, failure: RefreshFailure, now: Timestamp) -> Vec<Effect> {
    let epoch = machine.epoch();
    machine.step(Event::Failed { epoch, failure }, now, 1.0)
}

fn transient(retry_after: Option<u64>) -> RefreshFailure {
    RefreshFailure::Transient {
        cause: TransientCause::Status(503),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

#[test]
fn tl_refresh_single_flight() {
    let mut machine = fresh(true);
    let first = machine.step(ask(1, None, 1), at(3600), 0.0);
    assert_eq!(
        first,
        [Effect::SaveIntent {
            epoch: 1,
            presented: 1
        }]
    );
    for waiter in 2..=64 {
        assert_eq!(machine.step(ask(waiter, Some(1), 1), at(3600), 0.0), []);
    }
    begin(&mut machine, at(3600));
    let effects = succeed(&mut machine, at(3601));
    let answers = effects
        .iter()
        .filter(|e| matches!(e, Effect::Answer(_, Ok(()))))
        .count();
    assert_eq!(answers, 64);
    assert!(matches!(
        effects[0],
        Effect::Publish {
            generation: Generation(2),
            ..
        }
    ));
}

#[test]
fn tl_401_stale_generation_no_refresh() {
    let mut machine = fresh(true);
    machine.step(ask(1, Some(1), 1), at(10), 0.0);
    begin(&mut machine, at(10));
    succeed(&mut machine, at(10));
    let late = machine.step(ask(2, Some(1), 2), at(11), 0.0);
    assert_eq!(late, [Effect::Answer(Waiter(2), Ok(()))]);
}

#[test]
fn a_token_that_is_being_saved_is_not_handed_out() {
    let mut machine = fresh(true);
    machine.step(ask(1, Some(1), 1), at(10), 0.0);
    begin(&mut machine, at(10));
    let epoch = machine.epoch();
    let event = Event::Refreshed {
        epoch,
        issued: at(10),
        expires: None,
        rotated: true,
    };
    machine.step(event, at(10), 0.0);
    assert_eq!(machine.step(ask(2, Some(1), 1), at(10), 0.0), []);
}

#[test]
fn a_failed_early_refresh_keeps_the_valid_token() {
    let mut machine = fresh(true);
    assert_eq!(machine.step(Event::Nudge, at(100), 0.0), [], "not due");
    assert_eq!(machine.step(Event::Nudge, at(3300), 0.0).len(), 1);
    begin(&mut machine, at(3300));
    let effects = fail(&mut machine, transient(None), at(3300));
    assert!(!effects.contains(&Effect::Retract));
    let answer = machine.step(ask(1, None, 1), at(3301), 0.0);
    assert_eq!(answer, [Effect::Answer(Waiter(1), Ok(()))]);
}

#[test]
fn tl_transient_errors_keep_tokens() {
    let mut machine = fresh(true);
    machine.step(ask(1, None, 1), at(4000), 0.0);
    begin(&mut machine, at(4000));
    fail(&mut machine, transient(None), at(4000));
    let state = machine.state(at(4000));
    assert!(
        matches!(state, State::Degraded { attempts: 1, .. }),
        "{state:?}"
    );
    let effects = machine.step(
        Event::Woke {
            used: true,
            accepted: Generation(1),
        },
        at(4001),
        0.0,
    );
    assert!(
        matches!(effects[..], [Effect::SaveIntent { presented: 1, .. }]),
        "{effects:?}"
    );
    begin(&mut machine, at(4001));
    let effects = succeed(&mut machine, at(4001));
    assert!(
        effects.contains(&Effect::Answer(Waiter(1), Ok(()))),
        "the first asker waited"
    );
    assert_eq!(machine.state(at(4001)), State::Ready);
}

#[test]
fn pain_17_retry_after_is_obeyed_by_everybody() {
    let mut machine = fresh(true);
    machine.step(ask(1, None, 1), at(4000), 0.0);
    begin(&mut machine, at(4000));
    let effects = fail(&mut machine, transient(Some(30)), at(4000));
    assert!(effects.contains(&Effect::WakeAt(at(4030))), "{effects:?}");
    for waiter in 2..=100 {
        let effects = machine.step(ask(waiter, None, 1), at(4001), 0.0);
        let [Effect::Answer(_, Err(CredentialError::Unavailable { retry_at, .. }))] = effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(retry_at, at(4030));
    }
    let effects = machine.step(
        Event::Woke {
            used: true,
            accepted: Generation(1),
        },
        at(4029),
        0.0,
    );
    assert_eq!(effects, [Effect::WakeAt(at(4030))]);
}

#[test]
fn tl_refresh_lost_response() {
    let mut machine = fresh(true);
    machine.step(ask(1, None, 1), at(4000), 0.0);
    begin(&mut machine, at(4000));
    let lost = || RefreshFailure::Ambiguous(TransientCause::Broken);
    let effects = fail(&mut machine, lost(), at(4000));
    assert_eq!(
        effects,
        [Effect::SaveIntent {
            epoch: 1,
            presented: 2
        }],
        "one prompt retry"
    );
    begin(&mut machine, at(4000));
    let code = OauthCode("invalid_grant".into());
    let effects = fail(
        &mut machine,
        RefreshFailure::Rejected(code.clone()),
        at(4001),
    );
    let reason = LoginReason::Rejected {
        code: code.clone(),
        at: at(4001),
        after_lost_answer: true,
    };
    assert!(
        effects.contains(&Effect::Forget { code, reason }),
        "{effects:?}"
    );
}

#[test]
fn an_intent_from_before_a_restart_counts_as_a_lost_answer() {
    let restored = Restored {
        generation: Generation(4),
        refreshable: true,
        unanswered: 1,
        signed_out: None,
    };
    let mut machine = Machine::new(TokenPolicy::default(), RetryPolicy::default(), restored);
    assert_eq!(machine.state(at(0)), State::Cold);
    let effects = machine.step(ask(1, None, 0), at(0), 0.0);
    assert_eq!(
        effects,
        [Effect::SaveIntent {
            epoch: 0,
            presented: 2
        }]
    );
    begin(&mut machine, at(0));
    fail(
        &mut machine,
        RefreshFailure::Rejected(OauthCode("invalid_grant".into())),
        at(0),
    );
    let State::SignedOut {
        reason: LoginReason::Rejected {
            after_lost_answer, ..
        },
        ..
    } = machine.state(at(0))
    else {
        panic!("not signed out")
    };
    assert!(after_lost_answer);
}

#[test]
fn tl_invalid_grant_terminal() {
    let mut machine = fresh(true);
    machine.step(Event::Nudge, at(3300), 0.0);
    begin(&mut machine, at(3300));
    fail(
        &mut machine,
        RefreshFailure::Rejected(OauthCode("invalid_grant".into())),
        at(3300),
    );
    let served = machine.step(ask(1, None, 1), at(3400), 0.0);
    assert_eq!(
        served,
        [Effect::Answer(Waiter(1), Ok(()))],
        "the held token serves to its end"
    );
    let over = machine.step(ask(2, None, 1), at(3600), 0.0);
    assert!(matches!(
        over[..],
        [Effect::Answer(
            _,
            Err(CredentialError::LoginRequired(LoginReason::Rejected { .. }))
        )]
    ));
    assert_eq!(machine.step(Event::Nudge, at(3601), 0.0), []);
}

#[test]
fn pain_16_a_resource_that_rejects_fresh_tokens_costs_two_refreshes() {
    let mut machine = fresh(true);
    let mut refreshes = 0;
    for round in 0..1000_u64 {
        let now = at(10).plus(Duration::from_millis(round * 60));
        let newest = machine.generation().0;
        let effects = machine.step(ask(round, Some(newest), 0), now, 0.0);
        if matches!(effects[..], [Effect::SaveIntent { .. }]) {
            begin(&mut machine, now);
            succeed(&mut machine, now);
            refreshes += 1;
        }
    }
    assert_eq!(refreshes, 2);
    assert!(matches!(
        machine.state(at(71)),
        State::RejectedByResource { .. }
    ));
}

#[test]
fn tl_401_after_refresh_no_loop() {
    let mut machine = fresh(true);
    for generation in 1..=2 {
        machine.step(ask(generation, Some(generation), 0), at(10), 0.0);
        begin(&mut machine, at(10));
        succeed(&mut machine, at(10));
    }
    let effects = machine.step(ask(9, Some(3), 0), at(10), 0.0);
    assert_eq!(effects[0], Effect::Retract);
    assert!(matches!(
        effects[1],
        Effect::Answer(_, Err(CredentialError::RejectedByResource { .. }))
    ));
    let after = at(10).plus(COOL_DOWN);
    assert_eq!(
        machine.step(ask(10, None, 0), after, 0.0).len(),
        1,
        "one try after a rest"
    );
}

#[test]
fn tl_expires_in_absent() {
    let restored = Restored {
        refreshable: true,
        ..Restored::default()
    };
    let mut machine = Machine::new(TokenPolicy::default(), RetryPolicy::default(), restored);
    let event = Event::SignedIn {
        generation: Generation(1),
        issued: at(0),
        expires: None,
        refreshable: true,
    };
    machine.step(event, at(0), 0.0);
    let year = at(365 * 24 * 3600);
    assert_eq!(
        machine.step(ask(1, None, 1), year, 0.0),
        [Effect::Answer(Waiter(1), Ok(()))]
    );
    assert_eq!(
        machine.step(ask(2, Some(1), 1), year, 0.0).len(),
        1,
        "a 401 starts a refresh"
    );
}

#[test]
fn tl_no_refresh_token_path() {
    let mut machine = fresh(false);
    let effects = machine.step(ask(1, None, 1), at(3600), 0.0);
    assert!(matches!(
        effects[0],
        Effect::NoteSignedOut(LoginReason::NoRefreshToken { .. })
    ));
    assert!(matches!(
        effects[1],
        Effect::Answer(_, Err(CredentialError::LoginRequired(_)))
    ));
}

#[test]
fn a_store_that_fails_after_the_call_hides_nothing_and_is_asked_again() {
    let mut machine = fresh(true);
    machine.step(ask(1, Some(1), 1), at(10), 0.0);
    begin(&mut machine, at(10));
    let epoch = machine.epoch();
    let event = Event::Refreshed {
        epoch,
        issued: at(10),
        expires: None,
        rotated: true,
    };
    machine.step(event, at(10), 0.0);
    let effects = machine.step(Event::SaveFailed { epoch }, at(12), 0.0);
    assert!(effects.contains(&Effect::Answer(Waiter(1), Ok(()))));
    assert!(machine.is_unsaved());
    let effects = machine.step(
        Event::Woke {
            used: true,
            accepted: Generation(2),
        },
        at(13),
        0.0,
    );
    assert!(effects.contains(&Effect::Save { epoch }), "{effects:?}");
    machine.step(Event::Saved { epoch }, at(13), 0.0);
    assert!(!machine.is_unsaved());
}

#[test]
fn a_result_from_before_a_sign_in_is_dropped() {
    let mut machine = fresh(true);
    machine.step(ask(1, Some(1), 1), at(10), 0.0);
    begin(&mut machine, at(10));
    let old = machine.epoch();
    let event = Event::SignedIn {
        generation: Generation(2),
        issued: at(11),
        expires: None,
        refreshable: true,
    };
    let effects = machine.step(event, at(11), 0.0);
    assert!(effects.contains(&Effect::Answer(Waiter(1), Ok(()))));
    let late = Event::Refreshed {
        epoch: old,
        issued: at(12),
        expires: None,
        rotated: true,
    };
    assert_eq!(machine.step(late, at(12), 0.0), []);
}

#[derive(Clone, Debug)]
enum Move {
    Ask { rejected: bool, accepted: bool },
    Abandon(u64),
    Nudge,
    Force,
    Intent(bool),
    Good { rotated: bool, life: Option<u64> },
    Bad(u8),
    Saved(bool),
    SignIn(bool),
    SignOut,
    Wake(bool),
    Pass(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (any::<bool>(), any::<bool>())
            .prop_map(|(rejected, accepted)| Move::Ask { rejected, accepted }),
        1 => (0_u64..40).prop_map(Move::Abandon),
        2 => Just(Move::Nudge),
        1 => Just(Move::Force),
        5 => prop::bool::weighted(0.9).prop_map(Move::Intent),
        5 => (any::<bool>(), prop::option::of(1_u64..5000))
            .prop_map(|(rotated, life)| Move::Good { rotated, life }),
        3 => (0_u8..4).prop_map(Move::Bad),
        5 => prop::bool::weighted(0.9).prop_map(Move::Saved),
        1 => any::<bool>().prop_map(Move::SignIn),
        1 => Just(Move::SignOut),
        3 => any::<bool>().prop_map(Move::Wake),
        4 => (0_u64..2000).prop_map(Move::Pass),
    ]
}

proptest! {
    /// The properties of the machine over any history.
    #[test]
    fn the_machine_keeps_its_promises(history in prop::collection::vec(moves(), 1..120)) {
        let mut machine = fresh(true);
        let mut now = at(0);
        let mut next = 1_u64;
        let mut open = std::collections::BTreeSet::new();
        let mut intent_saved = false;
        let mut calls_open = 0_i32;
        let mut saves_due = false;
        let mut published = Generation(1);
        for step in history {
            let epoch = machine.epoch();
            let mut reset = false;
            let event = match step {
                Move::Ask { rejected, accepted } => {
                    let waiter = next;
                    next += 1;
                    open.insert(waiter);
                    let newest = machine.generation().0;
                    ask(waiter, rejected.then_some(newest), if accepted { newest } else { 0 })
                }
                Move::Abandon(waiter) => {
                    open.remove(&waiter);
                    Event::Abandon(Waiter(waiter))
                }
                Move::Nudge => Event::Nudge,
                Move::Force => {
                    open.insert(next);
                    next += 1;
                    Event::Force { waiter: Waiter(next - 1) }
                }
                Move::Intent(true) => {
                    intent_saved = true;
                    Event::IntentSaved { epoch }
                }
                Move::Intent(false) => {
                    Event::IntentFailed { epoch, cause: TransientCause::Store("full".into()) }
                }
                Move::Good { rotated, life } => {
                    if calls_open == 1 {
                        calls_open = 0;
                        saves_due = true;
                    }
                    let expires = life.map(|life| now.plus(Duration::from_secs(life)));
                    Event::Refreshed { epoch, issued: now, expires, rotated }
                }
                Move::Bad(kind) => {
                    calls_open = 0;
                    let failure = match kind {
                        0 => RefreshFailure::Rejected(OauthCode("invalid_grant".into())),
                        1 => RefreshFailure::Ambiguous(TransientCause::TimedOut),
                        2 => transient(Some(40)),
                        _ => transient(None),
                    };
                    Event::Failed { epoch, failure }
                }
                Move::Saved(good) => {
                    if good { Event::Saved { epoch } } else { Event::SaveFailed { epoch } }
                }
                Move::SignIn(refreshable) => {
                    reset = true;
                    let generation = machine.generation().next();
                    Event::SignedIn { generation, issued: now, expires: None, refreshable }
                }
                Move::SignOut => {
                    reset = true;
                    Event::SignedOut(LoginReason::SignedOut { at: now })
                }
                Move::Wake(used) => Event::Woke { used, accepted: Generation(0) },
                Move::Pass(seconds) => {
                    now = now.plus(Duration::from_secs(seconds));
                    continue;
                }
            };
            if reset {
                calls_open = 0;
                saves_due = false;
            }
            let saving = matches!(event, Event::Saved { .. } | Event::SaveFailed { .. });
            let valid = machine.usable(now);
            let failing = matches!(event, Event::Failed { .. } | Event::IntentFailed { .. });
            for effect in machine.step(event, now, 0.5) {
                match effect {
                    Effect::Answer(Waiter(waiter), _) => {
                        prop_assert!(open.remove(&waiter), "answered twice, or never asked");
                    }
                    Effect::SaveIntent { .. } => {
                        prop_assert_eq!(calls_open, 0, "one refresh at a time");
                        intent_saved = false;
                    }
                    Effect::Call { .. } => {
                        prop_assert!(intent_saved, "no call before its durable intent");
                        calls_open += 1;
                        prop_assert_eq!(calls_open, 1);
                    }
                    Effect::Publish { generation, .. } => {
                        prop_assert!(generation >= published, "generations only grow");
                        prop_assert!(saving || reset, "nothing is published before it is saved");
                        prop_assert!(saves_due || reset);
                        saves_due = false;
                        published = generation;
                    }
                    Effect::Retract => prop_assert!(
                        !(failing && valid),
                        "a failure never takes a valid credential away"
                    ),
                    _ => {}
                }
            }
            prop_assert!(machine.waiters.len() <= MAX_WAITERS);
            for waiter in &machine.waiters {
                prop_assert!(open.contains(&waiter.0));
            }
            prop_assert_eq!(machine.waiters.len(), open.len(), "every question is answered once");
        }
    }
}
