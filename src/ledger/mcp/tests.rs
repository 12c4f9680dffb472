use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

fn key(account: &str, id: &str) -> McpKey {
    McpKey::of(&account.parse().expect("a name"), id.as_bytes())
}

#[test]
fn one_id_of_two_accounts_is_two_sessions() {
    let keys = [
        key("a", "1"),
        key("b", "1"),
        key("a@b", "1"),
        key("a", "b1"),
        key("ab", "1"),
    ];
    for (at, one) in keys.iter().enumerate() {
        assert!(keys[at + 1..].iter().all(|other| other != one));
    }
    assert_eq!(key("a", "1"), key("a@default", "1"));
}

#[test]
fn the_table_is_bounded_and_the_oldest_goes_first() {
    let table = McpSessions::default();
    let account: AccountRef = "a".parse().expect("a name");
    let open = |id: &str, owner: u64| {
        let news = News {
            by: Some(SessionId::from_random(owner)),
            under: None,
            hello: None,
        };
        table.open(&account, &HeaderValue::from_str(id).expect("a value"), news);
    };
    for number in 0..=LIMITS.each {
        open(&number.to_string(), 1);
    }
    assert_eq!(table.len(), LIMITS.each);
    assert!(table.find(&key("a", "0")).is_none());
    assert!(table.find(&key("a", "1")).is_some());
    for number in 0..2 * LIMITS.all {
        open(&format!("x{number}"), 2 + number as u64);
    }
    assert_eq!(table.len(), LIMITS.all);
    assert!(table.find(&key("a", "1")).is_none());
    table.close(&key("a", &format!("x{}", 2 * LIMITS.all - 1)));
    assert_eq!(table.len(), LIMITS.all - 1);
}

/// What can happen to the sessions of one account.
#[derive(Clone, Debug)]
enum Step {
    Open(u64, u8),
    StandIn(u64),
    Begin(usize, u8),
    Close(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..3, 0_u8..6).prop_map(|(by, id)| Step::Open(by, id)),
        (0_u64..3).prop_map(Step::StandIn),
        (0_usize..8, 0_u8..6).prop_map(|(at, id)| Step::Begin(at, id)),
        (0_usize..8).prop_map(Step::Close),
        Just(Step::Restart),
    ]
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a value")
}

proptest! {
    #[test]
    fn nobody_gets_into_the_session_of_another_agent(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let account: AccountRef = "a".parse().expect("a name");
        let agent = |number| Some(SessionId::from_random(number));
        let mut table = McpSessions::default();
        // What each agent was told, and by whom its id was given to it.
        let mut told: Vec<(String, BTreeSet<u64>)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let news = |by| News { by: agent(by), under: None, hello: Some(Bytes::new()) };
            match step {
                Step::Open(by, id) => {
                    let id = format!("s-{id}");
                    table.open(&account, &value(&id), news(by));
                    match told.iter_mut().find(|(known, _)| *known == id) {
                        Some((_, owners)) => drop(owners.insert(by)),
                        None => told.push((id, BTreeSet::from([by]))),
                    }
                }
                Step::StandIn(by) => {
                    let id = format!("dw-{number}");
                    table.stand_in(&account, &value(&id), news(by));
                    told.push((id, BTreeSet::from([by])));
                }
                Step::Begin(at, id) => {
                    let Some((known, _)) = told.get(at) else { continue };
                    if let Some(session) = table.find(&key("a", known)) {
                        let turn = session.turn().now_or_never().expect("free");
                        session.begin(&turn, Some(value(&format!("s-{id}"))), None, None);
                    }
                }
                Step::Close(at) if at < told.len() => {
                    table.close(&key("a", &told.remove(at).0));
                }
                Step::Close(_) => {}
                Step::Restart => {
                    let after = McpSessions::default();
                    for (id, _) in &told {
                        let session = table.find(&key("a", id));
                        let record = session.and_then(|it| it.record(None, None));
                        if let Some(record) = record {
                            after.restore(record, None);
                        }
                    }
                    table = after;
                }
            }
            for (id, owners) in &told {
                let Some(session) = table.find(&key("a", id)) else { continue };
                let life = session.life();
                for by in 0..3 {
                    // An id that the server gives to everybody belongs to nobody.
                    let owns = owners.contains(&by) || owners.len() > 1;
                    prop_assert!(owns || !life.opened.admits(agent(by)), "{id} {by}");
                }
                prop_assert!(life.opened.admits(agent(*owners.first().expect("one"))) || owners.len() > 1);
                let waits = session.is_waiting();
                prop_assert_eq!(waits, id.starts_with("dw-") && life.number == 0);
                prop_assert!(!waits || life.id.is_none(), "the server knows nothing of it");
            }
        }
    }
}
