//! What a request with a live session and a fresh credential costs before it is forwarded: clock,
//! SHA-256 of the bearer, ledger, touch, credential. Budget: 1 µs, flat over sessions and threads.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use doorward::clock::{Clock, SystemClock};
use doorward::ledger::{Ledger, Published, SessionCell, Slot};
use doorward::model::id::{AccountRef, Generation};
use doorward::model::secret::{AccessToken, TokenDigest};
use doorward::model::time::Timestamp;
use doorward::model::token::{Credential, Freshness};
use http::HeaderValue;

#[expect(dead_code, reason = "nobody signs in here")]
#[path = "../tests/it/support/records.rs"]
mod records;

struct Table {
    ledger: Ledger,
    slot: Arc<Slot>,
    bearers: Vec<String>,
}

impl Table {
    fn new(sessions: u64) -> Self {
        let ledger = Ledger::new();
        let now = SystemClock.now();
        let account: AccountRef = "linear".parse().expect("a name");
        let slot = ledger.slot(&account);
        let credential = Credential {
            access: AccessToken::new("x".repeat(900)),
            issued: now,
            expires: None,
            generation: Generation(1),
        };
        slot.publish(Published::bearer(&credential, Timestamp::MAX).expect("sendable"));
        let bearers = (0..sessions)
            .map(|n| add_session(&ledger, n, now))
            .collect();
        Self {
            ledger,
            slot,
            bearers,
        }
    }

    /// Admit and grant, as the proxy does.
    fn pass(&self, bearer: &str) -> Option<HeaderValue> {
        let now = SystemClock.now();
        let cell = self.ledger.session(&TokenDigest::of(bearer.as_bytes()))?;
        cell.touch(now).ok()?;
        cell.add_call();
        self.slot.touch(now);
        let held = self.slot.load()?;
        (held.freshness(now) == Freshness::Fresh).then(|| held.header.clone())?
    }

    /// A walk over the sessions that no cache foresees.
    fn pass_many(&self, from: usize, count: u64) {
        let mut at = from;
        for _ in 0..count {
            at = next(at);
            let bearer = &self.bearers[(at >> 33) % self.bearers.len()];
            black_box(self.pass(black_box(bearer)).expect("admitted"));
        }
    }
}

fn next(at: usize) -> usize {
    at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)
}

fn add_session(ledger: &Ledger, number: u64, now: Timestamp) -> String {
    let (token, record) = records::session(number, now);
    ledger.insert(SessionCell::new(record));
    token.expose().to_owned()
}

/// With ever more sessions in the table: once with a thousand of them at work, which is many
/// agents for one machine, and once with all of them in random order, where each pass is a few
/// trips to memory and that is what is measured.
fn over_sessions(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit_and_grant");
    for sessions in [10, 1000, 100_000] {
        let table = Table::new(sessions);
        for (name, at_work) in [("sessions", 1000), ("all_at_work", sessions)] {
            let at_work = usize::try_from(at_work.min(sessions)).expect("few");
            group.bench_function(BenchmarkId::new(name, sessions), |b| {
                let mut at = 1_usize;
                // A bearer has just been read from its connection, so it is in a cache; which
                // session it names is what no cache foresees.
                b.iter_batched_ref(
                    || {
                        at = next(at);
                        let nth = (at >> 33) % at_work * (table.bearers.len() / at_work);
                        table.bearers[nth].clone()
                    },
                    |bearer| table.pass(bearer).expect("admitted"),
                    BatchSize::NumIterations(64),
                );
            });
        }
    }
    group.finish();
}

fn over_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit_and_grant/threads");
    for (name, sessions) in [("own_sessions", 1000), ("one_session", 1)] {
        let table = Table::new(sessions);
        for threads in [1, 2, 4, 8] {
            group.bench_function(BenchmarkId::new(name, threads), |b| {
                b.iter_custom(|count| together(&table, threads, count));
            });
        }
    }
    group.finish();
}

/// How long `threads` take for `count` passes each: with fewer cores than threads that is as many
/// times longer.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn together(table: &Table, threads: usize, count: u64) -> Duration {
    let start = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    table.pass_many(thread * 7919 + 1, count);
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        for worker in workers {
            worker.join().expect("no panic");
        }
        began.elapsed()
    })
}

fn parts(c: &mut Criterion) {
    let table = Table::new(1000);
    let bearer = table.bearers[7].as_bytes();
    let digest = TokenDigest::of(bearer);
    let cell = table.ledger.session(&digest).expect("there");
    let mut group = c.benchmark_group("parts");
    group.bench_function("clock", |b| b.iter(|| SystemClock.now()));
    group.bench_function("digest", |b| b.iter(|| TokenDigest::of(black_box(bearer))));
    group.bench_function("lookup", |b| {
        b.iter(|| table.ledger.session(black_box(&digest)));
    });
    let mut now = cell.last_used();
    group.bench_function("touch_same_millisecond", |b| {
        b.iter(|| cell.touch(black_box(now)));
    });
    group.bench_function("touch_next_millisecond", |b| {
        b.iter(|| {
            now = now.plus(Duration::from_millis(1));
            cell.touch(black_box(now))
        });
    });
    group.bench_function("credential", |b| {
        b.iter(|| table.slot.load().and_then(|held| held.header.clone()));
    });
    group.finish();
}

criterion_group!(benches, parts, over_sessions, over_threads);
criterion_main!(benches);
