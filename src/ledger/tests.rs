//! What must hold of cells, slots and the ledger, also under concurrent use.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::model::record::{EndedBy, Ending, SessionOrigin, SessionRecord};
use crate::model::secret::AccessToken;
use crate::model::session::{Death, Grant, Liveness, SessionPolicy, Verdict, judge};
use crate::model::time::Timestamp;
use crate::model::token::{Credential, Freshness};

fn cell(policy: SessionPolicy, minted: u64) -> Arc<SessionCell> {
    let minted = Timestamp::from_millis(minted);
    SessionCell::new(SessionRecord {
        id: SessionId::from_random(1),
        digest: TokenDigest::of(b"x"),
        later: Vec::new(),
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
fn the_idle_window_starts_at_the_end_of_a_stream() {
    let manual = Arc::new(ManualClock::at(ms(0)));
    let clock: Arc<dyn Clock> = manual.clone();
    let cell = cell(millis(100, 1000, None), 0);
    let stream = cell.open_stream(&clock).expect("alive");
    manual.set(ms(400));
    stream.progress();
    assert_eq!(cell.last_used(), ms(400));
    manual.set(ms(700));
    drop(stream);
    assert_eq!(cell.streams(), 0);
    assert_eq!(cell.verdict(ms(800)), Verdict::Live { until: ms(800) });
    assert_eq!(cell.verdict(ms(801)), Verdict::Dead(Death::Idle));
}

#[test]
fn a_stream_that_outlives_its_session_does_not_bring_it_back() {
    let manual = Arc::new(ManualClock::at(ms(0)));
    let clock: Arc<dyn Clock> = manual.clone();
    let cell = cell(millis(100, 1000, None), 0);
    let stream = cell.open_stream(&clock).expect("alive");
    assert!(cell.close(Death::Revoked, None));
    manual.set(ms(50));
    stream.progress();
    drop(stream);
    assert_eq!(cell.verdict(ms(50)), Verdict::Dead(Death::Revoked));
    assert_eq!(cell.last_used(), ms(0));
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

#[test]
fn a_published_credential_can_be_sent_and_not_printed() {
    let credential = |text: &str| Credential {
        access: AccessToken::new(text),
        issued: ms(0),
        expires: Some(ms(1000)),
        generation: Generation(3),
    };
    let published = Published::bearer(&credential("s3cret"), ms(800)).expect("sendable");
    let header = published.header.as_ref().expect("a credential");
    assert_eq!(header.to_str().expect("text"), "Bearer s3cret");
    assert!(header.is_sensitive());
    assert!(!format!("{published:?}").contains("s3cret"));
    assert_eq!(published.freshness(ms(799)), Freshness::Fresh);
    assert_eq!(published.freshness(ms(800)), Freshness::Aging);
    assert_eq!(published.freshness(ms(1000)), Freshness::Expired);
    assert!(Published::bearer(&credential("two\r\nlines"), ms(800)).is_err());
}

#[test]
fn what_a_slot_knows_never_goes_back() {
    let slot = Slot::default();
    assert_eq!(slot.last_used(), None);
    for at in [5, 9, 7] {
        slot.touch(ms(at));
        slot.mark_accepted(Generation(at));
        slot.mark_vain(Generation(at));
    }
    assert_eq!(slot.last_used(), Some(ms(9)));
    assert_eq!(slot.accepted(), Generation(9));
    assert_eq!(slot.vain(), Generation(9));
    slot.publish(Published::nothing());
    assert!(slot.load().is_some());
    slot.retract();
    assert!(slot.load().is_none());
}

#[test]
fn a_session_is_found_by_its_digest_and_by_its_id() {
    let ledger = Ledger::new();
    let cell = cell(SessionPolicy::default(), 0);
    ledger.insert(Arc::clone(&cell));
    let digest = *cell.digest();
    assert!(Arc::ptr_eq(&ledger.session(&digest).expect("there"), &cell));
    assert!(Arc::ptr_eq(
        &ledger.session_by_id(cell.id()).expect("there"),
        &cell
    ));
    assert_eq!(ledger.sessions().len(), 1);
    assert!(ledger.session(&TokenDigest::of(b"another")).is_none());
    ledger.remove(&digest);
    assert!(ledger.session(&digest).is_none());
    assert!(ledger.slots().is_empty());
}

proptest! {
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
    fn the_order_of_concurrent_touches_is_irrelevant(
        uses in prop::collection::vec(0_u64..900, 1..40),
    ) {
        let policy = millis(1000, 1000, Some(5000));
        let (together, alone) = (cell(policy, 0), cell(policy, 0));
        std::thread::scope(|scope| {
            for half in uses.chunks(uses.len().div_ceil(2)) {
                let together = &together;
                scope.spawn(move || half.iter().all(|at| together.touch(ms(*at)).is_ok()));
            }
        });
        for at in &uses {
            alone.touch(ms(*at)).expect("alive");
        }
        prop_assert_eq!(together.last_used(), alone.last_used());
        prop_assert_eq!(Some(alone.last_used()), uses.into_iter().max().map(ms));
    }

    /// A sweep closes what it has judged dead, unless it was used since; a use is admitted or
    /// refused; and what is admitted is alive afterwards.
    #[test]
    fn a_use_and_a_sweep_have_no_third_outcome(
        idle in 1_u64..200, ttl in 1_u64..400,
        moves in prop::collection::vec((any::<bool>(), 0_u64..150), 1..40),
    ) {
        let cell = cell(millis(idle, ttl, None), 0);
        let mut now = 0;
        let mut seen = None;
        for (sweeps, pass) in moves {
            now += pass;
            if sweeps {
                // In two halves, so that a use may slip in between them.
                match seen.take() {
                    None if matches!(cell.verdict(ms(now)), Verdict::Dead(_)) => {
                        seen = Some(cell.last_used());
                    }
                    None => {}
                    Some(used) => {
                        let slipped_in = cell.last_used() > used;
                        prop_assert_eq!(cell.close(Death::Idle, Some(used)), !slipped_in);
                    }
                }
            } else {
                let admitted = cell.touch(ms(now)).is_ok();
                let alive = matches!(cell.verdict(ms(now)), Verdict::Live { .. });
                prop_assert_eq!(admitted, alive);
            }
            if cell.ended().is_cancelled() {
                prop_assert!(cell.touch(ms(now)).is_err());
                break;
            }
        }
    }

    #[test]
    fn dead_stays_dead(
        death in prop_oneof![Just(Death::Idle), Just(Death::Lapsed), Just(Death::Revoked)],
        moves in prop::collection::vec((0_u8..5, 0_u64..2000), 0..30),
    ) {
        let clock = Arc::new(ManualClock::at(ms(0)));
        let cell = cell(millis(10_000, 10_000, None), 0);
        prop_assert!(cell.close(death, None));
        for (kind, at) in moves {
            clock.set(ms(at));
            match kind {
                0 => prop_assert_eq!(cell.touch(ms(at)), Err(death)),
                1 => {
                    let clock: Arc<dyn Clock> = clock.clone();
                    prop_assert_eq!(cell.open_stream(&clock).err(), Some(death));
                }
                2 => prop_assert!(!cell.close(Death::Revoked, None)),
                3 => prop_assert!(!cell.close(Death::Idle, Some(ms(at)))),
                _ => cell.set_liveness(Liveness::Alive),
            }
            prop_assert_eq!(cell.verdict(ms(at)), Verdict::Dead(death));
        }
        prop_assert_eq!(cell.streams(), 0);
        prop_assert_eq!(cell.last_used(), ms(0));
    }

    #[test]
    fn no_use_lifts_the_ceiling(
        age in 1_u64..5000, uses in prop::collection::vec(0_u64..9000, 0..30),
    ) {
        let cell = cell(millis(100_000, 100_000, Some(age)), 0);
        for at in uses {
            prop_assert_eq!(cell.touch(ms(at)).is_ok(), at <= age);
        }
    }

    #[test]
    fn the_cell_agrees_with_the_judge(
        idle in 1_u64..5000, ttl in 1_u64..5000, max_age in prop::option::of(1_u64..9000),
        used in 0_u64..5000, now in 0_u64..20_000, streams in 0_u32..2, alive in any::<bool>(),
    ) {
        let policy = millis(idle, ttl, max_age);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(ms(0)));
        let cell = cell(policy, 0);
        let streams: Vec<_> = (0..streams).map(|_| cell.open_stream(&clock)).collect();
        if alive {
            cell.set_liveness(Liveness::Alive);
        }
        let judged = judge(&cell.facts(), &policy, ms(used));
        prop_assert_eq!(cell.touch(ms(used)).is_ok(), matches!(judged, Verdict::Live { .. }));
        prop_assert_eq!(cell.facts().streams as usize, streams.len());
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
    fn a_restart_never_adds_life(
        used in 0_u64..5000, restart in 0_u64..9000, now in 0_u64..20_000,
    ) {
        let policy = millis(3000, 4000, Some(6000));
        let before = cell(policy, 0);
        let _ = before.touch(ms(used));
        let after = SessionCell::restored(before.record(), ms(restart));
        if matches!(before.verdict(ms(now)), Verdict::Dead(_)) {
            prop_assert!(matches!(after.verdict(ms(now)), Verdict::Dead(_)));
        }
        prop_assert!(after.last_used() <= ms(restart).max(ms(0)));
    }

    #[test]
    fn an_ended_session_is_restored_ended(at in 0_u64..5000) {
        let before = cell(millis(10_000, 10_000, None), 0);
        before.close(Death::Revoked, None);
        before.set_ending(Ending {
            death: Death::Revoked,
            at: ms(at),
            by: EndedBy::Person,
            reason: None,
        });
        let after = SessionCell::restored(before.record(), ms(at));
        prop_assert_eq!(after.touch(ms(at)), Err(Death::Revoked));
        prop_assert!(after.ended().is_cancelled());
        prop_assert_eq!(after.ending(), before.ending());
    }
}
