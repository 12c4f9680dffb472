//! The judgement on a session's life, which every request asks for. Budget: 20 ns.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use doorward::model::session::{Liveness, SessionFacts, SessionPolicy, judge};
use doorward::model::time::Timestamp;
use doorward::model::token::{TokenPolicy, freshness, refresh_at};

const NOW: u64 = 1_800_000_000_000;

fn facts(streams: u32, bound: Liveness) -> SessionFacts {
    SessionFacts {
        minted: Timestamp::from_millis(NOW - 86_400_000),
        last_used: Timestamp::from_millis(NOW - 1000),
        streams,
        bound,
    }
}

fn sessions(c: &mut Criterion) {
    let now = Timestamp::from_millis(NOW);
    let endless = SessionPolicy::default();
    let capped = SessionPolicy {
        max_age: Some(Duration::from_hours(48)),
        ..endless
    };
    let mut group = c.benchmark_group("judge");
    for (name, facts, policy) in [
        ("quiet", facts(0, Liveness::Unbound), endless),
        ("capped", facts(0, Liveness::Unbound), capped),
        ("streaming", facts(1, Liveness::Alive), endless),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| judge(black_box(&facts), black_box(&policy), black_box(now)));
        });
    }
    group.finish();
}

fn tokens(c: &mut Criterion) {
    let now = Timestamp::from_millis(NOW);
    let end = Some(now.plus(Duration::from_hours(1)));
    let policy = TokenPolicy::default();
    let due = refresh_at(now, end, &policy, 0.5);
    c.bench_function("freshness", |b| {
        b.iter(|| freshness(black_box(end), black_box(due), black_box(now)));
    });
    c.bench_function("refresh_at", |b| {
        b.iter(|| refresh_at(black_box(now), black_box(end), &policy, black_box(0.5)));
    });
}

criterion_group!(benches, sessions, tokens);
criterion_main!(benches);
