use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::model::record::{SessionOrigin, SessionRecord};
use crate::model::session::{Death, Grant, SessionPolicy, Verdict, judge};
use crate::model::time::Timestamp;

fn cell(policy: SessionPolicy, minted: u64) -> Arc<SessionCell> {
    let minted = Timestamp::from_millis(minted);
    SessionCell::new(SessionRecord {
        id: SessionId::from_random(1),
        digest: TokenDigest::of(b"x"),
        label: None,
        client: None,
        origin: SessionOrigin::Mint,
        grant: Grant::All,
        policy,
        minted,
        last_used: minted,
        calls: 0,
        bound: None,
        ended: None,
    })
}

fn millis(idle: u64, ttl: u64, max_age: Option<u64>) -> SessionPolicy {
    SessionPolicy {
        idle: Duration::from_millis(idle),
        ttl: Duration::from_millis(ttl),
        max_age: max_age.map(Duration::from_millis),
    }
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn seed_s2_04_idle_100_is_alive_at_100_and_dead_at_101() {
    let cell = cell(millis(100, 1000, None), 0);
    assert!(matches!(cell.verdict(ms(100)), Verdict::Live { .. }));
    assert_eq!(cell.verdict(ms(101)), Verdict::Dead(Death::Idle));
    assert_eq!(cell.touch(ms(101)), Err(Death::Idle));
    assert_eq!(cell.touch(ms(100)), Ok(()));
    assert_eq!(cell.touch(ms(200)), Ok(()));
}

#[test]
fn seed_s2_04_an_open_stream_holds_the_idle_window_off_and_not_the_ttl() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(ms(0)));
    let cell = cell(millis(100, 1000, None), 0);
    let stream = cell.open_stream(&clock).expect("alive");
    assert!(matches!(cell.verdict(ms(1000)), Verdict::Live { .. }));
    assert_eq!(cell.verdict(ms(1001)), Verdict::Dead(Death::Lapsed));
    drop(stream);
    assert_eq!(cell.verdict(ms(500)), Verdict::Dead(Death::Idle));
}

#[test]
fn a_closed_session_cuts_its_streams_and_stays_closed() {
    let cell = cell(millis(100, 1000, None), 0);
    assert!(cell.close(Death::Revoked, None));
    assert!(cell.ended().is_cancelled());
    assert!(!cell.close(Death::Idle, None));
    assert_eq!(cell.touch(ms(1)), Err(Death::Revoked));
}

#[test]
fn a_request_that_slips_in_before_the_sweep_keeps_its_session() {
    let cell = cell(millis(100, 1000, None), 0);
    let seen = cell.last_used();
    cell.touch(ms(50)).expect("alive");
    assert!(!cell.close(Death::Idle, Some(seen)));
    assert_eq!(cell.touch(ms(60)), Ok(()));
}

#[test]
fn concurrent_touches_and_a_sweep_agree() {
    for round in 0..200 {
        let cell = cell(millis(1_000_000, 1_000_000, None), 0);
        let seen = cell.last_used();
        let (touched, closed) = std::thread::scope(|scope| {
            let toucher = scope.spawn(|| cell.touch(ms(1 + round)).is_ok());
            let closer = scope.spawn(|| cell.close(Death::Idle, Some(seen)));
            (
                toucher.join().expect("no panic"),
                closer.join().expect("no panic"),
            )
        });
        assert_ne!(touched, closed, "exactly one of the two wins");
    }
}

#[test]
fn a_slot_is_nudged_once_per_credential() {
    let ledger = Ledger::new();
    let account: AccountRef = "linear".parse().expect("a name");
    let slot = ledger.slot(&account);
    slot.publish(Published::nothing());
    assert!(slot.nudge_once());
    assert!(!slot.nudge_once());
    slot.publish(Published::nothing());
    assert!(slot.nudge_once());
    assert!(Arc::ptr_eq(&slot, &ledger.slot(&account)));
}

proptest! {
    #[test]
    fn seed_s2_03_use_never_brings_the_end_nearer(
        idle in 1_u64..10_000, ttl in 1_u64..10_000, uses in prop::collection::vec(0_u64..20_000, 0..30),
    ) {
        let policy = millis(idle, ttl, None);
        let cell = cell(policy, 0);
        let mut end = Timestamp::MIN;
        for at in uses {
            if cell.touch(ms(at)).is_ok() {
                if let Verdict::Live { until } = judge(&cell.facts(), &policy, cell.last_used()) {
                    prop_assert!(until >= end);
                    end = until;
                }
            }
        }
    }

    #[test]
    fn seed_s2_05_a_used_session_outlives_its_first_end(
        ttl in 100_u64..10_000, steps in 2_u64..50,
    ) {
        let unused = cell(millis(ttl, ttl, None), 0);
        prop_assert_eq!(unused.touch(ms(ttl + 1)), Err(Death::Lapsed));
        let used = cell(millis(ttl, ttl, None), 0);
        for step in 1..=steps {
            prop_assert!(used.touch(ms(step * ttl)).is_ok());
        }
    }

    #[test]
    fn the_order_of_touches_is_irrelevant(mut uses in prop::collection::vec(0_u64..900, 1..20)) {
        let policy = millis(1000, 1000, Some(5000));
        let (forward, backward) = (cell(policy, 0), cell(policy, 0));
        for at in &uses {
            let _ = forward.touch(ms(*at));
        }
        uses.reverse();
        for at in &uses {
            let _ = backward.touch(ms(*at));
        }
        prop_assert_eq!(forward.last_used(), backward.last_used());
    }

    #[test]
    fn no_use_lifts_the_ceiling(age in 1_u64..5000, uses in prop::collection::vec(0_u64..9000, 0..30)) {
        let cell = cell(millis(100_000, 100_000, Some(age)), 0);
        for at in uses {
            prop_assert_eq!(cell.touch(ms(at)).is_ok(), at <= age);
        }
    }

    #[test]
    fn the_cell_agrees_with_the_judge(
        idle in 1_u64..5000, ttl in 1_u64..5000, used in 0_u64..5000, now in 0_u64..20_000,
    ) {
        let policy = millis(idle, ttl, None);
        let cell = cell(policy, 0);
        let _ = cell.touch(ms(used));
        prop_assert_eq!(cell.verdict(ms(now)), judge(&cell.facts(), &policy, ms(now)));
    }

    #[test]
    fn a_clock_that_steps_back_changes_nothing(first in 1000_u64..5000, back in 0_u64..1000) {
        let cell = cell(millis(10_000, 10_000, None), 0);
        cell.touch(ms(first)).expect("alive");
        cell.touch(ms(back)).expect("alive");
        prop_assert_eq!(cell.last_used(), ms(first));
    }

    #[test]
    fn a_restart_never_adds_life(used in 0_u64..5000, now in 0_u64..20_000) {
        let policy = millis(3000, 4000, None);
        let before = cell(policy, 0);
        let _ = before.touch(ms(used));
        let after = SessionCell::new(before.record());
        prop_assert_eq!(before.verdict(ms(now)), after.verdict(ms(now)));
    }
}
