//! Failures that bring a new refresh token, and failures that only a person can mend.

use super::*;
use crate::model::secret::RefreshToken;

fn saves(effects: &[Effect]) -> usize {
    let save = |effect: &&Effect| matches!(effect, Effect::Save { .. });
    effects.iter().filter(save).count()
}

/// What was presented is spent: nothing goes out, and nothing stops, before its successor is
/// durable.
#[test]
fn a_new_refresh_token_is_durable_before_anything_else_whatever_came_with_it() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    let effects = table.fail(RefreshFailure::RotatedOnly {
        refresh: RefreshToken::new("next"),
        cause: TransientCause::Malformed("it holds no access token"),
    });
    assert_eq!(saves(&effects), 1, "{effects:?}");
    assert!(!table.machine.is_settled());
    assert!(
        !effects.contains(&Effect::ClearIntent),
        "the save removes it"
    );
    let (epoch, generation) = (table.machine.epoch(), table.machine.generation());
    table.step(Event::Saved { epoch, generation });
    assert!(table.machine.is_settled());
    // A save that fails is tried again, also ahead of the next presentation.
    table.now = at(4001);
    table.woke(Demand::Used);
    table.present();
    let effects = table.fail(RefreshFailure::RotatedOnly {
        refresh: RefreshToken::new("after that"),
        cause: TransientCause::Malformed("it holds no access token"),
    });
    assert_eq!(saves(&effects), 1);
    table.step(Event::SaveFailed { epoch, generation });
    table.now = at(4010);
    let again = table.woke(Demand::Used);
    assert_eq!(saves(&again), 1, "{again:?}");
}

#[test]
fn what_only_a_person_can_mend_is_told_at_once() {
    let mut table = Table::signed_in().at(4000);
    table.ask(1);
    table.present();
    let effects = table.fail(RefreshFailure::Transient {
        cause: TransientCause::NotStored("pat".to_owned()),
        retry_after: None,
    });
    let told = |effects: &[Effect], waiter: u64| {
        effects.iter().any(|effect| {
            matches!(effect, Effect::Answer(Waiter(to), Err(CredentialError::Unavailable { .. }))
                if *to == waiter)
        })
    };
    assert!(told(&effects, 1), "{effects:?}");
    let effects = table.ask(2);
    assert!(told(&effects, 2), "within the pause: {effects:?}");
    // A person has mended it meanwhile, and the pause is over.
    table.now = at(4001);
    let effects = table.ask(3);
    assert!(
        matches!(effects[..], [Effect::SaveIntent { .. }]),
        "{effects:?}"
    );
}
