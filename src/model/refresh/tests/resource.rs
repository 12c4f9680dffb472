//! A resource that says no to fresh tokens must not set off a loop (scenarios.md row 16).

use super::super::ask::FIRST_REST;
use super::*;

/// Rejects the newest token once a tick for `ticks`, and counts the refreshes.
fn hammer(table: &mut Table, ticks: u64, tick: Duration, accepts: bool) -> u32 {
    let mut refreshes = 0;
    for waiter in 0..ticks {
        table.now = table.now.plus(tick);
        let newest = table.machine.generation();
        if accepts {
            table.accepted = newest;
        }
        let effects = table.question(waiter, Some(newest));
        if effects.iter().any(intent(1)) {
            table.succeed();
            refreshes += 1;
        }
    }
    refreshes
}

#[test]
fn pain_16_a_resource_that_rejects_fresh_tokens_costs_two_refreshes() {
    let mut table = Table::signed_in();
    table.accepted = Generation(0);
    let refreshes = hammer(&mut table, 1000, Duration::from_millis(60), false);
    assert_eq!(refreshes, 2);
    assert!(matches!(table.state(), State::RejectedByResource { .. }));
}

#[test]
fn pain_16_the_same_after_a_restart() {
    let mut table = Table::restored(Restored {
        generation: Generation(7),
        refreshable: true,
        ..Restored::default()
    });
    table.ask(0);
    table.succeed();
    let refreshes = 1 + hammer(&mut table, 1000, Duration::from_millis(60), false);
    assert_eq!(refreshes, 2);
}

#[test]
fn tl_401_after_refresh_no_loop() {
    let mut table = Table::signed_in().at(10);
    table.accepted = Generation(0);
    for generation in 1..=2 {
        table.ask_after_401(generation, generation);
        table.succeed();
    }
    let effects = table.ask_after_401(9, 3);
    assert_eq!(effects[0], Effect::Retract);
    let rejected = CredentialError::RejectedByResource { since: at(10) };
    assert_eq!(refusal(&effects), &rejected);
    assert_eq!(refusal(&table.ask(10)), &rejected);
    assert_eq!(table.step(Event::Nudge), []);
    assert_eq!(table.woke(Demand::Warm), []);

    table.now = at(10).plus(FIRST_REST);
    assert!(table.ask(11).iter().any(intent(1)), "one try after a rest");
    table.succeed();
    let effects = table.ask_after_401(12, 4);
    assert_eq!(refusal(&effects), &rejected, "since the first time");
    table.now = table.now.plus(FIRST_REST);
    assert_eq!(refusal(&table.ask(13)), &rejected, "the rest has doubled");
}

#[test]
fn a_probe_that_is_accepted_ends_it() {
    let mut table = Table::signed_in().at(10);
    table.accepted = Generation(0);
    hammer(&mut table, 10, secs(1), false);
    table.now = table.now.plus(FIRST_REST);
    table.ask(1);
    table.succeed();
    assert_eq!(table.state(), State::Ready);
    table.accepted = table.machine.generation();
    table.now = table.now.plus(secs(60));
    assert_eq!(
        hammer(&mut table, 2, secs(60), true),
        2,
        "an ordinary 401 again"
    );
}

#[test]
fn only_rejections_in_a_row_count() {
    let mut table = Table::signed_in().at(10);
    table.ask_after_401(1, 1);
    table.succeed();
    table.ask_after_401(2, 2);
    table.succeed();
    table.accepted = Generation(3);
    table.now = at(3400);
    table.step(Event::Nudge);
    table.succeed();
    let effects = table.ask_after_401(3, 4);
    assert!(
        effects.iter().any(intent(1)),
        "the third was accepted: {effects:?}"
    );
}

#[test]
fn a_sign_in_and_a_person_end_the_rest() {
    for sign_in in [true, false] {
        let mut table = Table::signed_in().at(10);
        table.accepted = Generation(0);
        hammer(&mut table, 10, secs(1), false);
        assert!(matches!(table.state(), State::RejectedByResource { .. }));
        if sign_in {
            table.sign_in(true, None);
        } else {
            let forced = table.step(Event::Force { waiter: Waiter(99) });
            assert!(forced.iter().any(intent(1)), "{forced:?}");
            table.succeed();
        }
        assert_eq!(table.state(), State::Ready);
    }
}

#[test]
fn a_resource_that_accepts_here_and_rejects_there_does_not_loop() {
    let mut table = Table::signed_in();
    let refreshes = hammer(&mut table, 1000, Duration::from_millis(60), true);
    assert!(refreshes <= 71, "{refreshes} in a minute");
    let newest = table.machine.generation().0;
    assert_eq!(
        table.ask(5000),
        [ok(5000, newest)],
        "the others go on with the token there is"
    );
}

/// Rejects every token of one request, sent again or not, and takes those of all others.
fn hammer_one(table: &mut Table, seconds: u64) -> Vec<u64> {
    let start = table.now;
    let mut refreshes = Vec::new();
    while table.now.since(start) < secs(seconds) {
        let newest = table.machine.generation();
        table.accepted = newest;
        let effects = table.question(newest.0, Some(newest));
        if effects.iter().any(intent(1)) {
            table.succeed();
            refreshes.push(table.now.since(start).as_secs());
            table.vain = table.machine.generation();
        } else {
            let doubted = CredentialError::RejectedByResource { since: at(0) };
            let refusal = refusal(&effects);
            assert_eq!(
                std::mem::discriminant(refusal),
                std::mem::discriminant(&doubted)
            );
            assert_eq!(table.state(), State::Ready, "for everybody else");
        }
        table.now = table.now.plus(Duration::from_millis(100));
    }
    refreshes
}

#[test]
fn pain_16_a_request_that_no_token_helps_costs_two_refreshes_and_then_ever_fewer() {
    let mut table = Table::with(true, None);
    let refreshes = hammer_one(&mut table, 600);
    assert_eq!(refreshes, [0, 0, 10, 30, 70, 150, 310]);
    // It is over once a token that did help has lived for a while.
    table.now = table.now.plus(FIRST_REST);
    assert!(table.ask_after_401(1, 8).iter().any(intent(1)));
    table.succeed();
    table.accepted = Generation(9);
    table.now = table.now.plus(secs(60));
    assert!(table.ask_after_401(2, 9).iter().any(intent(1)));
    table.succeed();
    assert_eq!(hammer_one(&mut table, 5), [0, 0], "as at first");
}

#[test]
fn who_waits_when_the_rest_begins_is_not_forgotten() {
    let mut table = Table::signed_in().at(10);
    table.accepted = Generation(0);
    for generation in 1..=2 {
        table.ask_after_401(generation, generation);
        table.succeed();
    }
    table.machine.fruitless = 0;
    table.ask_after_401(5, 3);
    table.machine.fruitless = 2;
    table.present();
    let effects = table.fail(transient(None));
    assert!(
        matches!(refusal(&effects), CredentialError::Unavailable { .. }),
        "{effects:?}"
    );
}

#[test]
fn a_refresh_in_flight_when_the_rest_begins_is_the_probe() {
    let mut table = Table::signed_in().at(10);
    table.accepted = Generation(0);
    for generation in 1..=2 {
        table.ask_after_401(generation, generation);
        table.succeed();
    }
    table.step(Event::Force { waiter: Waiter(5) });
    table.present();
    table.machine.fruitless = 1;
    table.ask_after_401(6, 3);
    assert!(matches!(table.state(), State::RejectedByResource { .. }));
    table.answer(Some(3600));
    let effects = table.saved();
    assert!(effects.contains(&ok(5, 4)), "{effects:?}");
    assert_eq!(table.state(), State::Ready);
}
