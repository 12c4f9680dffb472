use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Everybody who gets a turn, without one of them ending.
fn all(turns: &mut Turns<u8, u32>) -> Vec<(u8, u32)> {
    std::iter::from_fn(|| turns.admit()).collect()
}

#[test]
fn sessions_take_turns_however_many_calls_each_has_waiting() {
    let mut turns = Turns::new(1, 100);
    assert!(turns.begin(1));
    for call in 10..30 {
        assert!(!turns.begin(1));
        turns.wait(1, call).expect("room");
    }
    turns.wait(2, 100).expect("room");
    turns.wait(3, 200).expect("room");
    turns.wait(2, 101).expect("room");
    let mut served = vec![];
    let mut last = 1;
    while turns.waiting() > 16 {
        turns.end(last);
        let [(who, call)] = all(&mut turns)[..] else {
            panic!("one at a time")
        };
        served.push(call);
        last = who;
    }
    assert_eq!(served, [10, 100, 200, 11, 101, 12, 13]);
}

#[test]
fn long_calls_of_one_session_leave_places_to_others() {
    let mut turns = Turns::new(64, 100);
    let running = (0..64).filter(|_| turns.begin(1)).count();
    assert_eq!(running, 56);
    turns.wait(1, 0).expect("room");
    assert_eq!(
        all(&mut turns),
        [],
        "it does not get the last ones by waiting"
    );
    for who in 2..10 {
        assert!(turns.begin(who));
        assert!(!turns.begin(who), "one each of the last ones");
    }
    assert!(!turns.begin(10), "64 and no more");
    turns.wait(10, 1).expect("room");
    turns.end(1);
    assert_eq!(all(&mut turns), [(10, 1)], "before the one who has 55");
}

#[test]
fn few_places_are_all_for_whoever_asks() {
    let mut turns = Turns::<u8, u32>::new(2, 10);
    assert!(turns.begin(1) && turns.begin(1) && !turns.begin(2));
}

#[test]
fn where_there_is_no_room_whoever_has_most_gives_way() {
    let mut crowd = Crowd::new(4);
    for call in 0..4 {
        assert_eq!(crowd.enter(1, call).expect("room").1, None);
    }
    assert_eq!(crowd.enter(1, 4), Err(Full), "not for one of its own");
    assert_eq!(crowd.enter(2, 5).expect("room").1, Some(3), "its newest");
    assert_eq!(crowd.enter(3, 6).expect("room").1, Some(2));
    assert_eq!(
        crowd.enter(2, 7),
        Err(Full),
        "two and two is as even as it gets"
    );
    let (ticket, left) = crowd.enter(4, 8).expect("room");
    assert_eq!(left, Some(1));
    assert_eq!(crowd.len(), 4);
    crowd.leave(4, ticket);
    crowd.leave(4, ticket);
    assert_eq!(crowd.len(), 3);
    let order: Vec<_> = std::iter::from_fn(|| crowd.take(|_| true)).collect();
    assert_eq!(order, [(1, 0), (2, 5), (3, 6)]);
    assert!(crowd.is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(u8),
    End(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..5).prop_map(Step::Call),
        2 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::GiveUp),
    ]
}

proptest! {
    /// Whatever comes and goes: no place is lost or given twice, nobody waits beside a place that
    /// it may have, and every call is either running, waiting, over or was told.
    #[test]
    fn places_are_neither_lost_nor_given_twice(
        places in 1_usize..20,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        const MOST: usize = 6;
        let mut turns = Turns::new(places, MOST);
        let mut running: Vec<u8> = vec![];
        let mut waiting: Vec<(u8, u32, Ticket)> = vec![];
        for (call, step) in (0..).zip(steps) {
            match step {
                Step::Call(who) if turns.begin(who) => running.push(who),
                Step::Call(who) => if let Ok((ticket, left)) = turns.wait(who, call) {
                    waiting.retain(|(_, other, _)| Some(*other) != left);
                    waiting.push((who, call, ticket));
                },
                Step::End(which) if !running.is_empty() => {
                    let who = running.swap_remove(which % running.len());
                    turns.end(who);
                    while let Some((who, woken)) = turns.admit() {
                        let at = waiting.iter().position(|(_, call, _)| *call == woken);
                        let (owner, _, _) = waiting.remove(at.expect("it waits"));
                        prop_assert_eq!(owner, who);
                        prop_assert!(waiting.iter().all(|(other, call, _)| *other != who || *call > woken));
                        running.push(who);
                    }
                }
                Step::GiveUp(which) if !waiting.is_empty() => {
                    let (who, _, ticket) = waiting.remove(which % waiting.len());
                    turns.leave(who, ticket);
                }
                _ => {}
            }
            prop_assert!(running.len() <= places);
            prop_assert_eq!(turns.waiting(), waiting.len());
            prop_assert!(waiting.len() <= MOST);
            let mut each: HashMap<u8, usize> = HashMap::new();
            for who in &running {
                *each.entry(*who).or_default() += 1;
            }
            let free = places - running.len();
            let scarce = free <= places / RESERVE;
            for (who, ..) in &waiting {
                prop_assert!(free == 0 || scarce && each.contains_key(who));
            }
        }
    }
}
