//! Properties of the machine over random histories.

use proptest::prelude::*;

use super::world::{Outcome, World};
use super::*;

#[derive(Clone, Debug)]
enum Move {
    Ask {
        rejected: Which,
        accepted: Which,
        vain: Which,
        patience: u64,
    },
    Abandon(usize),
    Nudge,
    Force,
    Finish(usize, Outcome),
    SignIn(bool),
    SignOut,
    Wake(Demand),
    Pass(u64),
    SetBack(u64),
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    None,
    Before,
    Newest,
}

impl Which {
    fn of(self, newest: Generation) -> Option<Generation> {
        match self {
            Self::None => None,
            Self::Before => Some(Generation(newest.0.saturating_sub(1))),
            Self::Newest => Some(newest),
        }
    }
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![Just(Which::None), Just(Which::Before), Just(Which::Newest)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let good = (any::<bool>(), prop::option::of(0_u64..5000))
        .prop_map(|(rotated, life)| Outcome::Good { rotated, life });
    prop_oneof![
        8 => good,
        1 => Just(Outcome::Refused),
        2 => prop::option::of(0_u64..5000).prop_map(Outcome::Transient),
        2 => Just(Outcome::Lost),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    let demand = prop_oneof![Just(Demand::Idle), Just(Demand::Used), Just(Demand::Warm)];
    prop_oneof![
        8 => (which(), which(), which(), 0_u64..60).prop_map(|(rejected, accepted, vain, patience)| Move::Ask {
            rejected,
            accepted,
            vain,
            patience,
        }),
        1 => any::<usize>().prop_map(Move::Abandon),
        2 => Just(Move::Nudge),
        1 => Just(Move::Force),
        12 => (0_usize..3, outcome()).prop_map(|(nth, outcome)| Move::Finish(nth, outcome)),
        1 => any::<bool>().prop_map(Move::SignIn),
        1 => Just(Move::SignOut),
        3 => demand.prop_map(Move::Wake),
        5 => (0_u64..2000).prop_map(Move::Pass),
        1 => (0_u64..2000).prop_map(Move::SetBack),
        1 => Just(Move::Restart),
    ]
}

fn play(world: &mut World, step: Move) {
    let newest = world.machine.generation();
    match step {
        Move::Ask {
            rejected,
            accepted,
            vain,
            patience,
        } => world.ask(
            rejected.of(newest),
            accepted.of(newest).unwrap_or_default(),
            vain.of(newest).unwrap_or_default(),
            patience,
        ),
        Move::Abandon(nth) => world.abandon(nth),
        Move::Nudge => world.apply(Event::Nudge),
        Move::Force => world.force(),
        Move::Finish(nth, outcome) => world.finish(nth, &outcome),
        Move::SignIn(refreshable) => world.sign_in(refreshable),
        Move::SignOut => {
            let at = world.now;
            world.apply(Event::SignedOut(LoginReason::SignedOut { at }));
        }
        Move::Wake(demand) => world.apply(Event::Woke { demand }),
        Move::Pass(seconds) => world.now = world.now.plus(secs(seconds)),
        Move::SetBack(seconds) => world.now = world.now.minus(secs(seconds)),
        Move::Restart => world.restart(),
    }
}

proptest! {
    /// One call at a time and never without its durable intent, one answer each, nothing handed
    /// out unpublished or published unsaved, pauses and rests kept, no valid credential taken away
    /// by a failure; and once things go well, nobody is left waiting and nothing unsaved.
    #[test]
    fn the_machine_keeps_its_promises(history in prop::collection::vec(moves(), 1..120)) {
        let mut world = World::new();
        for step in history {
            play(&mut world, step);
        }
        world.settle();
    }

    /// However the resource and the callers behave, rejections alone never cost more than two
    /// refreshes in a row without a success between.
    #[test]
    fn two_rejections_with_no_success_between_never_loop(
        gaps in prop::collection::vec(0_u64..280, 1..200),
    ) {
        let mut table = Table::signed_in();
        table.accepted = Generation(0);
        let mut refreshes = 0;
        for (waiter, gap) in gaps.into_iter().enumerate() {
            table.now = table.now.plus(Duration::from_millis(gap));
            let newest = table.machine.generation();
            let effects = table.question(waiter as u64, Some(newest));
            if effects.iter().any(intent(1)) {
                table.succeed();
                refreshes += 1;
            }
            prop_assert!(refreshes <= 2);
        }
    }

    #[test]
    fn pauses_grow_and_stay_within_their_bounds(
        attempt in 1_u32..1000, roll in -1.0_f64..2.0,
        base in 0_u64..10_000, max in 0_u64..100_000_000,
    ) {
        let policy = RetryPolicy {
            base: Duration::from_millis(base),
            max: Duration::from_millis(max),
        };
        let pause = policy.delay(attempt, roll);
        prop_assert!(pause >= Duration::from_millis(100));
        prop_assert!(pause <= Duration::from_hours(1));
        prop_assert!(policy.delay(attempt + 1, roll) >= pause);
        prop_assert!(policy.pause(attempt, roll, Some(Duration::MAX)) <= Duration::from_hours(1));
    }
}
