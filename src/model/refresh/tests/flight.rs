//! One refresh at a time, in its order, by generation.

use super::*;

#[test]
fn tl_refresh_single_flight() {
    let mut table = Table::signed_in().at(3600);
    let first = table.ask(1);
    assert_eq!(
        first,
        [Effect::SaveIntent {
            epoch: 1,
            generation: Generation(1),
            presented: 1
        }]
    );
    for waiter in 2..=64 {
        assert_eq!(table.ask_after_401(waiter, 1), []);
    }
    let effects = table.succeed();
    assert!(matches!(
        effects[0],
        Effect::Publish {
            generation: Generation(2),
            ..
        }
    ));
    let answered = (1..=64).filter(|waiter| effects.contains(&ok(*waiter, 2)));
    assert_eq!(answered.count(), 64, "all of them get the same outcome");
}

#[test]
fn tl_401_stale_generation_no_refresh() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.succeed();
    assert_eq!(table.ask_after_401(2, 1), [ok(2, 2)]);
}

#[test]
fn pain_15_requests_in_flight_with_the_token_before_cost_no_refresh() {
    let mut table = Table::signed_in().at(3300);
    table.step(Event::Nudge);
    table.succeed();
    for waiter in 0..20 {
        assert_eq!(table.ask_after_401(waiter, 1), [ok(waiter, 2)]);
    }
}

#[test]
fn the_order_is_intent_call_save_publication_answer() {
    let mut table = Table::signed_in().at(10);
    let mut seen = table.ask_after_401(1, 1);
    let epoch = table.machine.epoch();
    seen.extend(table.step(Event::IntentSaved { epoch }));
    seen.extend(table.answer(None));
    seen.extend(table.saved());
    assert!(matches!(
        seen[..],
        [
            Effect::SaveIntent { .. },
            Effect::Call { attempt: 1, .. },
            Effect::Save {
                generation: Generation(2),
                ..
            },
            Effect::Publish {
                generation: Generation(2),
                ..
            },
            Effect::Answer(Waiter(1), Ok(Generation(2))),
        ]
    ));
}

#[test]
fn a_token_that_is_being_saved_is_not_handed_out() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.present();
    table.answer(None);
    assert_eq!(table.ask_after_401(2, 1), []);
    assert_eq!(
        table.machine.state(at(10)),
        State::Refreshing { usable: true }
    );
}

#[test]
fn a_save_of_the_generation_before_publishes_nothing() {
    let mut table = Table::signed_in().at(10);
    let epoch = table.machine.epoch();
    table.ask_after_401(1, 1);
    table.present();
    table.answer(None);
    let old = Event::Saved {
        epoch,
        generation: Generation(1),
    };
    assert_eq!(table.step(old), []);
    assert!(table.machine.is_busy());
}

#[test]
fn tl_refresh_survives_cancellation() {
    let mut table = Table::signed_in().at(3600);
    table.ask(1);
    table.step(Event::Abandon(Waiter(1)));
    let effects = table.succeed();
    assert!(matches!(effects[0], Effect::Publish { .. }));
    assert!(
        !effects.contains(&ok(1, 2)),
        "nobody is there to be answered"
    );
}

#[test]
fn an_aging_token_is_refreshed_while_it_is_served() {
    let mut table = Table::signed_in().at(3300);
    assert!(table.step(Event::Nudge).iter().any(intent(1)));
    assert_eq!(table.ask(1), [ok(1, 1)]);
    assert_eq!(table.step(Event::Nudge), [], "one is on its way");
    assert_eq!(table.state(), State::Refreshing { usable: true });
}

#[test]
fn a_notice_that_was_about_the_token_before_is_given_back() {
    let mut table = Table::signed_in().at(10);
    assert_eq!(table.step(Event::Nudge), [Effect::Renudge]);
}

#[test]
fn a_timer_refreshes_what_was_used_and_leaves_the_rest_alone() {
    let mut idle = Table::signed_in().at(3300);
    assert_eq!(idle.woke(Demand::Idle), []);
    let mut used = Table::signed_in().at(3300);
    assert!(used.woke(Demand::Used).iter().any(intent(1)));
    let mut cold = Table::restored(Restored {
        generation: Generation(3),
        refreshable: true,
        ..Restored::default()
    });
    assert_eq!(cold.state(), State::Cold);
    assert!(cold.woke(Demand::Warm).iter().any(intent(1)));
}

#[test]
fn waking_after_the_end_refreshes_once_for_everybody() {
    let mut table = Table::signed_in().at(48 * 3600);
    let mut intents = table.woke(Demand::Used);
    for waiter in 0..8 {
        intents.extend(table.ask(waiter));
    }
    assert_eq!(intents.len(), 1, "{intents:?}");
}

#[test]
fn a_sign_in_answers_who_waits_and_drops_the_late_result() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.present();
    let old = table.machine.epoch();
    let effects = table.sign_in(true, None);
    assert!(effects.contains(&ok(1, 2)), "{effects:?}");
    let late = Event::Refreshed {
        epoch: old,
        issued: at(12),
        expires: None,
        rotated: true,
    };
    assert_eq!(table.step(late), []);
    let late = Event::Failed {
        epoch: old,
        failure: invalid_grant(),
    };
    assert_eq!(table.step(late), []);
    assert_eq!(table.state(), State::Ready);
}

#[test]
fn a_result_of_the_grant_before_does_not_end_the_refresh_of_this_one() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.present();
    let old = table.machine.epoch();
    table.sign_in(true, None);
    table.ask_after_401(2, 2);
    table.present();
    for failure in [invalid_grant(), lost(), transient(None)] {
        let late = Event::Failed {
            epoch: old,
            failure,
        };
        assert_eq!(table.step(late), []);
    }
    let effects = table.answer(None);
    assert!(matches!(effects[..], [Effect::Save { .. }]), "{effects:?}");
}

#[test]
fn a_sign_in_that_raced_with_a_refresh_still_brings_a_new_generation() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.succeed();
    let effects = table.step(Event::SignedIn {
        generation: Generation(2),
        issued: at(10),
        expires: None,
        refreshable: true,
    });
    assert!(matches!(
        effects[0],
        Effect::Publish {
            generation: Generation(3),
            ..
        }
    ));
}

#[test]
fn a_sign_out_takes_the_credential_away_and_answers_who_waits() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    let reason = LoginReason::SignedOut { at: at(10) };
    let effects = table.step(Event::SignedOut(reason.clone()));
    assert_eq!(effects[0], Effect::Retract);
    let required = CredentialError::LoginRequired(reason);
    assert_eq!(refusal(&effects), &required);
    assert_eq!(refusal(&table.ask(2)), &required);
}

#[test]
fn who_never_signed_in_is_told_so() {
    let mut table = Table::restored(Restored::default());
    let never = CredentialError::LoginRequired(LoginReason::Never);
    assert_eq!(refusal(&table.ask(1)), &never);
    assert_eq!(table.step(Event::Nudge), []);
}

#[test]
fn tl_expires_in_absent() {
    let mut table = Table::with(true, None).at(365 * 24 * 3600);
    assert_eq!(table.ask(1), [ok(1, 1)], "fresh until it is rejected");
    assert!(table.ask_after_401(2, 1).iter().any(intent(1)));
}

#[test]
fn tl_early_revocation_401() {
    let mut table = Table::signed_in().at(60);
    assert!(table.ask_after_401(1, 1).iter().any(intent(1)));
    assert!(table.succeed().contains(&ok(1, 2)));
}

#[test]
fn tl_no_refresh_token_path() {
    let mut table = Table::with(false, Some(3600)).at(3599);
    assert_eq!(table.ask(1), [ok(1, 1)]);
    let mut table = table.at(4000);
    let effects = table.ask(2);
    let reason = LoginReason::NoRefreshToken { at: at(3600) };
    assert_eq!(effects[0], Effect::NoteSignedOut(reason.clone()));
    assert_eq!(refusal(&effects), &CredentialError::LoginRequired(reason));
    let again = table.ask(3);
    assert_eq!(again.len(), 1, "noted once: {again:?}");
}

#[test]
fn a_five_second_token_costs_two_refreshes_in_its_life_at_most() {
    let mut table = Table::with(true, Some(5));
    let mut refreshes = 0;
    for tick in 0..600_u64 {
        table.now = Timestamp::from_millis(tick * 100);
        table.accepted = table.machine.generation();
        let mut effects = table.step(Event::Nudge);
        effects.extend(table.ask(tick));
        if effects.iter().any(intent(1)) {
            table.present();
            table.answer(Some(5));
            table.saved();
            refreshes += 1;
        }
    }
    assert!((20..=24).contains(&refreshes), "{refreshes} in a minute");
}

#[test]
fn a_token_that_ended_before_it_came_serves_for_a_second() {
    let mut table = Table::signed_in().at(3600);
    table.ask(1);
    table.present();
    table.now = at(3604);
    let event = Event::Refreshed {
        epoch: table.machine.epoch(),
        issued: at(3600),
        expires: Some(at(3602)),
        rotated: true,
    };
    table.step(event);
    let effects = table.saved();
    assert!(matches!(
        effects[0],
        Effect::Publish { expires: Some(end), .. } if end == at(3605)
    ));
    assert_eq!(table.ask(2), [ok(2, 2)]);
}

#[test]
fn waiters_are_bounded() {
    let mut table = Table::signed_in().at(3600);
    for waiter in 0..MAX_WAITERS as u64 {
        table.ask(waiter);
    }
    assert_eq!(refusal(&table.ask(9999)), &CredentialError::Overloaded);
    let forced = table.step(Event::Force {
        waiter: Waiter(10_000),
    });
    assert_eq!(refusal(&forced), &CredentialError::Overloaded);
}

#[test]
fn a_person_can_refresh_a_token_that_is_still_good() {
    let mut table = Table::signed_in().at(10);
    let forced = |waiter| Event::Force {
        waiter: Waiter(waiter),
    };
    assert!(table.step(forced(1)).iter().any(intent(1)));
    assert!(table.succeed().contains(&ok(1, 2)));
    table.step(forced(2));
    table.present();
    let effects = table.fail(transient(None));
    assert!(
        matches!(refusal(&effects), CredentialError::Unavailable { .. }),
        "a failure is told, though the held token is good"
    );
    assert_eq!(table.ask(3), [ok(3, 2)]);
}
