//! The slot of an account between the requests that read it and the token manager that writes it.

use std::pin::pin;
use std::sync::Arc;

use doorward::model::id::Generation;
use doorward::model::secret::AccessToken;
use doorward::model::time::Timestamp;
use doorward::model::token::Credential;
use loom::future::block_on;
use loom::thread;

use super::slot::{Published, Slot};
use super::{every_order, orders};

fn credential(generation: u64) -> Published {
    let credential = Credential {
        access: AccessToken::new(format!("token-{generation}")),
        issued: Timestamp::MIN,
        expires: None,
        generation: Generation(generation),
    };
    let bearer = Published::bearer(&credential, Timestamp::MAX).expect("sendable");
    bearer.of_sign_in(Timestamp::from_millis(generation))
}

/// What a request does that has to wait: ask to be told, look, and only then wait.
async fn obtained(slot: &Slot, other_than: u64) -> u64 {
    loop {
        let changed = pin!(slot.changed());
        if let Some(held) = slot.load().map(|held| held.generation.0)
            && held != other_than
        {
            return held;
        }
        changed.await;
    }
}

#[test]
fn storm_every_order_of_a_publication_wakes_who_waits() {
    orders(2, || {
        let slot = Arc::new(Slot::default());
        slot.publish(credential(1));
        let waiters = [(); 2].map(|()| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || block_on(obtained(&slot, 1)))
        });
        slot.publish(credential(2));
        for waiter in waiters {
            // One that is not woken never ends, and loom says so.
            assert_eq!(waiter.join().expect("no panic"), 2);
        }
    });
}

#[test]
fn storm_every_order_of_a_sign_out_and_a_sign_in_ends_with_the_sign_in() {
    every_order(|| {
        let slot = Arc::new(Slot::default());
        slot.publish(credential(1));
        let waiter = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || block_on(obtained(&slot, 1)))
        };
        slot.retract();
        slot.publish(credential(2));
        assert_eq!(waiter.join().expect("no panic"), 2);
    });
}

/// Requests see the credential aging while its successor is published: the manager is told once a
/// credential, and never so that nobody tells it of the next one.
#[test]
fn storm_every_order_of_a_nudge_leaves_one_for_the_next_credential() {
    every_order(|| {
        let slot = Arc::new(Slot::default());
        slot.publish(credential(1));
        let readers = [(); 2].map(|()| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let aging = slot.load().is_some_and(|held| held.generation.0 == 1);
                aging && slot.nudge_once()
            })
        });
        slot.publish(credential(2));
        let told = readers.map(|reader| reader.join().expect("no panic"));
        if told.contains(&true) {
            // What the manager does when it is told of a credential that is not aging.
            slot.renudge();
        }
        assert!(slot.nudge_once(), "the next one can be told");
        assert!(!slot.nudge_once(), "once");
    });
}

#[test]
fn storm_every_order_of_what_is_known_of_tokens_never_goes_back() {
    every_order(|| {
        let slot = Arc::new(Slot::default());
        let notes = [2, 1].map(|generation| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.mark_accepted(Generation(generation));
                assert!(slot.accepted() >= Generation(generation));
                slot.touch(Timestamp::from_millis(generation));
            })
        });
        for note in notes {
            note.join().expect("no panic");
        }
        assert_eq!(slot.accepted(), Generation(2));
        assert_eq!(slot.last_used(), Some(Timestamp::from_millis(2)));
    });
}
