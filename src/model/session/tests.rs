//! What must hold of every session, whatever its policy and its use.

use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn policy(idle: u64, ttl: u64, max_age: Option<u64>) -> SessionPolicy {
    SessionPolicy {
        idle: Duration::from_millis(idle),
        ttl: Duration::from_millis(ttl),
        max_age: max_age.map(Duration::from_millis),
    }
}

fn unbound(minted: u64, last_used: u64) -> SessionFacts {
    SessionFacts {
        minted: ms(minted),
        last_used: ms(last_used),
        streams: 0,
        bound: Liveness::Unbound,
    }
}

fn until(facts: &SessionFacts, policy: &SessionPolicy, now: Timestamp) -> Option<Timestamp> {
    match judge(facts, policy, now) {
        Verdict::Live { until } => Some(until),
        Verdict::Dead(_) => None,
    }
}

#[test]
fn seed_s2_04_idle_100_is_alive_at_100_and_dead_at_101() {
    let policy = policy(100, 10_000, None);
    let facts = unbound(0, 0);
    assert_eq!(
        judge(&facts, &policy, ms(100)),
        Verdict::Live { until: ms(100) }
    );
    assert_eq!(judge(&facts, &policy, ms(101)), Verdict::Dead(Death::Idle));
}

#[test]
fn seed_s2_04_an_open_stream_or_a_live_process_suspends_idle() {
    let policy = policy(100, 10_000, None);
    let streaming = SessionFacts {
        streams: 1,
        ..unbound(0, 0)
    };
    let bound = SessionFacts {
        bound: Liveness::Alive,
        ..unbound(0, 0)
    };
    let gone = SessionFacts {
        bound: Liveness::Gone,
        ..unbound(0, 0)
    };
    for facts in [streaming, bound] {
        assert_eq!(until(&facts, &policy, ms(10_000)), Some(ms(10_000)));
        assert_eq!(
            judge(&facts, &policy, ms(10_001)),
            Verdict::Dead(Death::Lapsed)
        );
    }
    assert_eq!(judge(&gone, &policy, ms(101)), Verdict::Dead(Death::Idle));
}

#[test]
fn seed_s2_05_an_unused_session_dies_at_the_cap() {
    let policy = policy(50_000, 1000, None);
    assert_eq!(until(&unbound(0, 0), &policy, ms(1000)), Some(ms(1000)));
    assert_eq!(
        judge(&unbound(0, 0), &policy, ms(1001)),
        Verdict::Dead(Death::Lapsed)
    );
    assert_eq!(
        until(&unbound(0, 900), &policy, ms(1900)),
        Some(ms(1900)),
        "one that is used lives past its first end"
    );
}

#[test]
fn the_defaults_are_a_day_of_quiet_and_thirty_days_of_use() {
    let policy = SessionPolicy::default();
    let day = 24 * 3_600_000;
    let facts = unbound(0, 0);
    assert_eq!(until(&facts, &policy, ms(day)), Some(ms(day)));
    assert_eq!(
        judge(&facts, &policy, ms(day + 1)),
        Verdict::Dead(Death::Idle)
    );
    let used = unbound(0, 365 * day);
    assert_eq!(until(&used, &policy, ms(365 * day)), Some(ms(366 * day)));
}

#[test]
fn times_at_the_ends_of_the_scale_do_not_wrap() {
    let policy = SessionPolicy {
        idle: Duration::MAX,
        ttl: Duration::MAX,
        max_age: Some(Duration::MAX),
    };
    let facts = unbound(u64::MAX, u64::MAX);
    assert_eq!(until(&facts, &policy, Timestamp::MAX), Some(Timestamp::MAX));
}

prop_compose! {
    fn policies()(
        idle in 1_u64..10_000, ttl in 1_u64..10_000, max_age in prop::option::of(1_u64..30_000),
    ) -> SessionPolicy {
        policy(idle, ttl, max_age)
    }
}

fn liveness() -> impl Strategy<Value = Liveness> {
    prop_oneof![
        Just(Liveness::Unbound),
        Just(Liveness::Alive),
        Just(Liveness::Gone)
    ]
}

prop_compose! {
    fn facts()(
        minted in 0_u64..10_000, used in 0_u64..20_000, streams in 0_u32..3, bound in liveness(),
    ) -> SessionFacts {
        SessionFacts {
            streams,
            bound,
            ..unbound(minted, minted + used)
        }
    }
}

proptest! {
    #[test]
    fn seed_s2_03_use_never_brings_the_end_nearer(
        policy in policies(), facts in facts(), later in 0_u64..20_000,
    ) {
        let used = SessionFacts { last_used: ms(facts.last_used.as_millis() + later), ..facts };
        prop_assert!(lapses_at(&used, &policy) >= lapses_at(&facts, &policy));
        let now = used.last_used;
        if let (Some(before), Some(after)) =
            (until(&facts, &policy, now), until(&used, &policy, now))
        {
            prop_assert!(after >= before);
        }
    }

    #[test]
    fn a_session_is_alive_up_to_its_end_and_dead_a_millisecond_later(
        policy in policies(), facts in facts(),
    ) {
        if let Some(end) = until(&facts, &policy, facts.last_used) {
            prop_assert_eq!(until(&facts, &policy, end), Some(end));
            prop_assert_eq!(until(&facts, &policy, ms(end.as_millis() + 1)), None);
        }
    }

    #[test]
    fn seed_s2_05_a_used_session_lives_past_its_first_end(
        policy in policies(), steps in 1_u64..50,
    ) {
        let endless = SessionPolicy { max_age: None, ..policy };
        let mut facts = unbound(0, 0);
        for _ in 0..steps {
            let end = until(&facts, &endless, facts.last_used).expect("alive when used");
            prop_assert!(end > facts.last_used);
            facts.last_used = end;
        }
    }

    #[test]
    fn no_use_lifts_the_ceiling(policy in policies(), facts in facts(), now in 0_u64..60_000) {
        if let (Some(age), Some(end)) = (policy.max_age, until(&facts, &policy, ms(now))) {
            prop_assert!(end <= facts.minted.plus(age));
        }
    }

    #[test]
    fn liveness_and_streams_never_lift_the_ttl(
        policy in policies(), facts in facts(), now in 0_u64..60_000,
    ) {
        if let Some(end) = until(&facts, &policy, ms(now)) {
            prop_assert!(end <= facts.last_used.plus(policy.ttl));
        }
    }

    #[test]
    fn dead_stays_dead_as_time_passes(
        policy in policies(), facts in facts(), now in 0_u64..60_000, later in 0_u64..60_000,
    ) {
        if until(&facts, &policy, ms(now)).is_none() {
            prop_assert_eq!(until(&facts, &policy, ms(now + later)), None);
        }
    }

    #[test]
    fn a_longer_policy_never_shortens_a_life(
        policy in policies(), facts in facts(), now in 0_u64..60_000, more in 0_u64..10_000,
    ) {
        let more = Duration::from_millis(more);
        let longer = SessionPolicy {
            idle: policy.idle + more,
            ttl: policy.ttl + more,
            max_age: policy.max_age.map(|age| age + more),
        };
        if let Some(end) = until(&facts, &policy, ms(now)) {
            prop_assert!(until(&facts, &longer, ms(now)).is_some_and(|after| after >= end));
        }
    }
}
