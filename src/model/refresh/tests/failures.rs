//! What each kind of failure does, and what it leaves alone.

use super::*;

#[test]
fn a_failed_early_refresh_keeps_the_valid_token() {
    let mut table = Table::signed_in().at(3300);
    table.step(Event::Nudge);
    table.present();
    let effects = table.fail(transient(None));
    assert!(!effects.contains(&Effect::Retract), "{effects:?}");
    assert!(effects.contains(&Effect::Renudge), "{effects:?}");
    assert_eq!(table.ask(1), [ok(1, 1)]);
    assert!(matches!(
        table.state(),
        State::Degraded { usable: true, .. }
    ));
}

#[test]
fn tl_transient_errors_keep_tokens() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    let effects = table.fail(transient(None));
    assert!(effects.contains(&Effect::ClearIntent), "{effects:?}");
    assert!(matches!(
        table.state(),
        State::Degraded {
            attempts: 1,
            usable: false,
            ..
        }
    ));
    assert_eq!(
        table.machine.last_failure(),
        Some((at(4000), &TransientCause::Status(503)))
    );
    table.now = at(4001);
    assert!(table.woke(Demand::Used).iter().any(intent(1)));
    let effects = table.succeed();
    assert!(
        effects.contains(&ok(1, 2)),
        "the first asker waited: {effects:?}"
    );
    assert_eq!(table.state(), State::Ready);
    assert_eq!(table.machine.last_failure(), None);
}

#[test]
fn pain_02_a_night_of_failures_heals_without_a_person() {
    let mut table = Table::signed_in().at(4000);
    let night = [
        transient(None),
        transient(Some(5)),
        lost(),
        lost(),
        RefreshFailure::Ambiguous(TransientCause::Malformed("not JSON")),
        RefreshFailure::Ambiguous(TransientCause::TimedOut),
        RefreshFailure::Transient {
            cause: TransientCause::Connect("no such host".into()),
            retry_after: None,
        },
        lost(),
    ];
    table.ask(1);
    for failure in night.into_iter().cycle().take(100) {
        if !table.machine.is_busy() {
            table.now = table.now.plus(secs(31));
            table.woke(Demand::Warm);
        }
        table.present();
        let effects = table.fail(failure);
        assert!(!effects.iter().any(|e| matches!(e, Effect::Forget { .. })));
    }
    if !table.machine.is_busy() {
        table.now = table.now.plus(secs(31));
        table.ask(2);
    }
    table.succeed();
    assert_eq!(table.state(), State::Ready);
}

#[test]
fn tl_retry_after() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    let effects = table.fail(transient(Some(7)));
    assert!(effects.contains(&Effect::WakeAt(at(4007))), "{effects:?}");
    assert!(
        !effects.iter().any(|e| matches!(e, Effect::Answer(..))),
        "within the caller's patience: {effects:?}"
    );
    table.now = at(4007);
    assert!(table.woke(Demand::Used).iter().any(intent(1)));
    table.present();
    let effects = table.fail(transient(Some(1_000_000_000)));
    let hour = at(4007 + 3600);
    assert!(
        effects.contains(&Effect::WakeAt(hour)),
        "bounded: {effects:?}"
    );
}

#[test]
fn pain_17_retry_after_is_obeyed_by_everybody() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    let effects = table.fail(transient(Some(30)));
    assert!(effects.contains(&Effect::WakeAt(at(4030))), "{effects:?}");
    table.now = at(4001);
    for waiter in 2..=100 {
        let effects = table.ask(waiter);
        let [Effect::Answer(_, Err(CredentialError::Unavailable { retry_at, .. }))] = effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(retry_at, at(4030));
    }
    let forced = table.step(Event::Force {
        waiter: Waiter(200),
    });
    assert!(matches!(
        refusal(&forced),
        CredentialError::Unavailable { .. }
    ));
    table.now = at(4029);
    assert_eq!(table.woke(Demand::Used), [Effect::WakeAt(at(4030))]);
    table.now = at(4030);
    let calls: Vec<_> = (201..300).flat_map(|waiter| table.ask(waiter)).collect();
    assert_eq!(calls.len(), 1, "single, and not before its time: {calls:?}");
}

#[test]
fn waiters_stay_through_pauses_that_their_patience_outlasts() {
    let mut table = Table::signed_in().at(4000);
    table.patience = secs(20);
    table.ask(1);
    table.patience = Duration::ZERO;
    table.ask(2);
    table.present();
    let effects = table.fail(transient(None));
    let answered: Vec<_> = effects
        .iter()
        .filter_map(|e| match e {
            Effect::Answer(waiter, _) => Some(waiter.0),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [2]);
    table.patience = secs(20);
    assert_eq!(table.ask(3), [], "it waits, and starts nothing");
    // 0.5, 1, 2, 4, 8 seconds, and then one that ends after the deadline.
    let mut last = Vec::new();
    for _ in 0..5 {
        let State::Degraded { retry_at, .. } = table.state() else {
            panic!("{:?}", table.state())
        };
        table.now = retry_at;
        table.woke(Demand::Used);
        table.present();
        last = table.fail(transient(None));
    }
    assert!(matches!(
        refusal(&last),
        CredentialError::Unavailable { attempts: 6, .. }
    ));
}

#[test]
fn a_person_ends_a_pause_of_our_own() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    table.fail(transient(None));
    let forced = table.step(Event::Force { waiter: Waiter(2) });
    assert!(forced.iter().any(intent(1)), "{forced:?}");
}

#[test]
fn a_pause_is_over_when_the_clock_was_set_back() {
    let mut table = Table::signed_in().at(90_000);
    table.ask(1);
    table.present();
    table.fail(transient(Some(1800)));
    table.now = at(40_000);
    assert!(table.ask(2).iter().any(intent(1)));
}

#[test]
fn an_unused_account_is_not_retried_for_ever() {
    let mut table = Table::signed_in().at(3590);
    table.step(Event::Nudge);
    table.present();
    table.fail(transient(None));
    table.now = at(3595);
    assert!(
        table.woke(Demand::Used).iter().any(intent(1)),
        "still valid"
    );
    table.present();
    table.fail(transient(None));
    table.now = at(3700);
    assert_eq!(table.woke(Demand::Used), [], "over, and nobody waits");
    assert!(table.woke(Demand::Warm).iter().any(intent(1)));
}

#[test]
fn tl_refresh_lost_response() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    let effects = table.fail(lost());
    assert!(intent(2)(&effects[0]), "one prompt retry: {effects:?}");
    table.present();
    let effects = table.fail(invalid_grant());
    let reason = LoginReason::Rejected {
        code: OauthCode("invalid_grant".into()),
        at: at(4000),
        after_lost_answer: true,
    };
    assert_eq!(refusal(&effects), &CredentialError::LoginRequired(reason));
}

#[test]
fn a_second_lost_answer_is_not_followed_by_another_prompt_retry() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    table.fail(lost());
    table.present();
    let effects = table.fail(lost());
    assert!(
        !effects
            .iter()
            .any(|e| matches!(e, Effect::SaveIntent { .. })),
        "{effects:?}"
    );
    assert!(matches!(table.state(), State::Degraded { attempts: 2, .. }));
}

#[test]
fn pain_19_an_intent_from_before_a_restart_counts_as_a_lost_answer() {
    let restored = Restored {
        generation: Generation(4),
        refreshable: true,
        unanswered: 1,
        signed_out: None,
    };
    let mut table = Table::restored(restored.clone());
    assert!(intent(2)(&table.ask(1)[0]));
    table.present();
    table.fail(invalid_grant());
    let State::SignedOut { reason, .. } = table.state() else {
        panic!("{:?}", table.state())
    };
    assert!(matches!(
        reason,
        LoginReason::Rejected {
            after_lost_answer: true,
            ..
        }
    ));

    let mut table = Table::restored(restored);
    table.ask(1);
    table.present();
    let effects = table.fail(lost());
    assert!(
        !effects.iter().any(intent(3)),
        "it was tried once: {effects:?}"
    );
}

#[test]
fn tl_invalid_grant_terminal() {
    let mut table = Table::signed_in().at(3300);
    table.step(Event::Nudge);
    table.present();
    let effects = table.fail(invalid_grant());
    let reason = LoginReason::Rejected {
        code: OauthCode("invalid_grant".into()),
        at: at(3300),
        after_lost_answer: false,
    };
    let code = OauthCode("invalid_grant".into());
    assert_eq!(
        effects,
        [Effect::Forget {
            code,
            reason: reason.clone()
        }]
    );
    table.now = at(3400);
    assert_eq!(table.ask(1), [ok(1, 1)], "the held token serves to its end");
    table.now = at(3600);
    assert_eq!(
        refusal(&table.ask(2)),
        &CredentialError::LoginRequired(reason)
    );
    assert_eq!(table.step(Event::Nudge), []);
    assert_eq!(table.woke(Demand::Warm), []);
}

#[test]
fn nothing_is_presented_without_a_durable_intent() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    let epoch = table.machine.epoch();
    let cause = TransientCause::Store("disk full".into());
    let effects = table.step(Event::IntentFailed { epoch, cause });
    assert!(!effects.iter().any(|e| matches!(e, Effect::Call { .. })));
    assert!(matches!(
        table.state(),
        State::Degraded {
            cause: TransientCause::Store(_),
            ..
        }
    ));
}

#[test]
fn a_store_that_fails_after_the_call_hides_nothing_and_is_asked_again() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.present();
    table.answer(Some(3600));
    let effects = table.save_failed();
    assert!(effects.contains(&ok(1, 2)), "{effects:?}");
    let mut gaps = Vec::new();
    for _ in 0..8 {
        assert!(table.machine.is_unsaved());
        let pause = table.machine.unsaved.expect("unsaved").pause;
        gaps.push(pause.until.since(table.now));
        table.now = pause.until;
        let effects = table.woke(Demand::Idle);
        assert!(matches!(
            effects[0],
            Effect::Save {
                generation: Generation(2),
                ..
            }
        ));
        table.save_failed();
    }
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
    assert_eq!(gaps[7], secs(30), "{gaps:?}");
    table.saved();
    assert!(table.machine.is_settled());
}

#[test]
fn an_unsaved_token_goes_to_the_store_before_it_is_presented() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.present();
    table.answer(Some(3600));
    table.save_failed();
    table.accepted = Generation(2);
    let effects = table.ask_after_401(2, 2);
    assert!(
        matches!(
            effects[..],
            [
                Effect::Save {
                    generation: Generation(2),
                    ..
                },
                Effect::SaveIntent {
                    generation: Generation(2),
                    ..
                }
            ]
        ),
        "{effects:?}"
    );
    table.present();
    table.now = at(1000);
    let effects = table.woke(Demand::Warm);
    assert!(
        !effects.iter().any(|e| matches!(e, Effect::Save { .. })),
        "it would wipe the intent of the call that is out: {effects:?}"
    );
}
