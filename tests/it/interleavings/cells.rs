//! A session's cell between its requests, its streams and the actor that ends it.

use std::sync::Arc;
use std::time::Duration;

use doorward::clock::{Clock, ManualClock};
use doorward::model::record::SessionRecord;
use doorward::model::session::{Death, SessionPolicy, Verdict};
use doorward::model::time::Timestamp;
use loom::thread;

use super::cell::SessionCell;
use super::every_order;
use crate::support::records;

/// When it was minted, and last used.
const MINTED: u64 = 1000;
/// How long it may be quiet.
const IDLE: u64 = 100;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(MINTED + millis)
}

fn clock(millis: u64) -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(at(millis)))
}

fn cell() -> Arc<SessionCell> {
    let (_, record) = records::session(1, at(0));
    let policy = SessionPolicy {
        idle: Duration::from_millis(IDLE),
        ttl: Duration::from_secs(100),
        max_age: None,
    };
    SessionCell::new(SessionRecord { policy, ..record })
}

/// What the session's actor does when it looks; whether that ended the session.
fn sweep(cell: &SessionCell, now: Timestamp) -> bool {
    let seen = cell.last_used();
    match cell.verdict(now) {
        Verdict::Dead(death) => cell.close(death, Some(seen)),
        Verdict::Live { .. } => false,
    }
}

#[test]
fn storm_every_order_of_a_request_and_the_sweep_has_one_winner() {
    every_order(|| {
        let cell = cell();
        let request = {
            let cell = Arc::clone(&cell);
            // The last millisecond of its life, and the first after it.
            thread::spawn(move || cell.touch(at(IDLE)))
        };
        let ended = sweep(&cell, at(IDLE + 1));
        let admitted = request.join().expect("no panic");
        assert_ne!(admitted.is_ok(), ended, "{admitted:?}");
        let after = cell.verdict(at(IDLE + 1));
        assert_eq!(matches!(after, Verdict::Live { .. }), admitted.is_ok());
    });
}

#[test]
fn storm_every_order_of_a_new_stream_and_the_sweep_has_one_winner() {
    every_order(|| {
        let cell = cell();
        let stream = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.open_stream(&clock(IDLE)))
        };
        let ended = sweep(&cell, at(IDLE + 1));
        let stream = stream.join().expect("no panic");
        assert_ne!(stream.is_ok(), ended);
        assert_eq!(cell.streams(), u32::from(!ended));
        assert_eq!(cell.ended().is_cancelled(), ended);
        drop(stream);
        assert_eq!(cell.streams(), 0);
    });
}

/// A stream that was silent for long ends as a request comes: the session has been in use all
/// the time, and neither the request nor the sweep may take it for idle.
#[test]
fn storm_every_order_of_the_end_of_a_stream_keeps_its_session() {
    every_order(|| {
        let cell = cell();
        let later = at(10 * IDLE);
        let stream = cell.open_stream(&clock(0)).expect("alive");
        let silent = {
            let clock = Arc::new(ManualClock::at(at(0)));
            let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
            let silent = cell.open_stream(&shared).expect("alive");
            clock.set(later);
            silent
        };
        drop(stream);
        let end = thread::spawn(move || drop(silent));
        let request = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.touch(later))
        };
        assert!(!sweep(&cell, later), "it was in use until now");
        assert_eq!(request.join().expect("no panic"), Ok(()));
        end.join().expect("no panic");
        assert_eq!(cell.streams(), 0);
        assert_eq!(cell.last_used(), later);
    });
}

#[test]
fn storm_every_order_of_a_revoke_leaves_nothing_open() {
    every_order(|| {
        let cell = cell();
        let stream = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.open_stream(&clock(1)))
        };
        let request = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.touch(at(2)))
        };
        assert!(cell.close(Death::Revoked, None), "nothing else ends it");
        let after = cell.touch(at(3));
        assert_eq!(after, Err(Death::Revoked));
        let stream = stream.join().expect("no panic");
        request.join().expect("no panic").ok();
        // A stream that slipped in is told by the same token as those before it.
        assert!(cell.ended().is_cancelled());
        drop(stream);
        assert_eq!(cell.streams(), 0);
        assert_eq!(cell.verdict(at(3)), Verdict::Dead(Death::Revoked));
        assert!(!cell.close(Death::Idle, None), "once");
    });
}

#[test]
fn storm_every_order_of_uses_keeps_the_last_one() {
    every_order(|| {
        let cell = cell();
        let uses = [30, 20].map(|when| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.touch(at(when)))
        });
        assert_eq!(cell.touch(at(10)), Ok(()));
        for done in uses {
            assert_eq!(done.join().expect("no panic"), Ok(()));
        }
        assert_eq!(cell.last_used(), at(30));
    });
}
