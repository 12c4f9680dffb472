//! What servers said last to handshakes and lists: written when such an answer has passed, read
//! when a server cannot be asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use serde_json::Value;
use tokio::sync::Notify;

use crate::model::id::AccountRef;
use crate::model::mcp::standin::{Answers, Question, Topic};
use crate::model::mcp::{Epoch, Likeness, compare};
use crate::model::time::Timestamp;

/// The last good answers of all accounts.
#[derive(Debug, Default)]
pub struct Memory {
    accounts: DashMap<AccountRef, Held>,
    /// Accounts whose answers are not written down yet.
    unwritten: Mutex<BTreeSet<String>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Held {
    answers: Answers,
    /// Whose they are; `None` where the daemon signs in nobody, and for those of an earlier run.
    under: Option<Epoch>,
}

impl Memory {
    /// Takes note of an answer to somebody of the epoch `under`. What somebody else was told is
    /// forgotten with it.
    pub fn note(
        &self,
        account: &AccountRef,
        under: Option<Epoch>,
        question: &Question,
        result: Value,
        now: Timestamp,
    ) {
        let mut held = self.accounts.entry(account.clone()).or_default();
        if compare(held.under, under) == Likeness::Other {
            held.answers = Answers::default();
        }
        held.under = under;
        if held.answers.note(question, result, now) {
            self.unwritten().insert(account.to_string());
            self.changed.notify_one();
        }
    }

    /// What was said about `topic` to whoever is signed in in the epoch `now_under`.
    pub fn answer(
        &self,
        account: &AccountRef,
        now_under: Option<Epoch>,
        topic: Topic,
        params: &Value,
        now: Timestamp,
    ) -> Option<Value> {
        let held = self.accounts.get(account)?;
        let other = compare(held.under, now_under) == Likeness::Other;
        (!other).then(|| held.answers.answer(topic, params, now))?
    }

    /// Puts in what an earlier run has written down.
    pub fn restore(&self, account: AccountRef, answers: Answers) {
        let under = None;
        self.accounts.insert(account, Held { answers, under });
    }

    /// Waits for something to write down.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has to be written down.
    pub fn take_unwritten(&self) -> Vec<(AccountRef, Answers)> {
        let names = std::mem::take(&mut *self.unwritten());
        let held = self.accounts.iter();
        held.filter(|entry| names.contains(&entry.key().to_string()))
            .map(|entry| (entry.key().clone(), entry.value().answers.clone()))
            .collect()
    }

    fn unwritten(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::mcp::standin::List;

    #[test]
    fn what_one_person_was_told_is_not_told_to_another() {
        let memory = Memory::default();
        let account: AccountRef = "a".parse().expect("a name");
        let (ann, now) = (Epoch::default(), Timestamp::MIN);
        let bob = ann.after(Likeness::Other);
        let topic = Topic::List(List::Tools);
        let question = Question {
            topic,
            id: 1.into(),
            cursor: None,
        };
        memory.note(&account, Some(ann), &question, json!({"tools": []}), now);
        let told = |who| memory.answer(&account, Some(who), topic, &Value::Null, now);
        assert!(told(ann).is_some());
        assert!(told(ann.after(Likeness::Unknown)).is_some());
        assert_eq!(told(bob), None);
        let prompts = Question {
            topic: Topic::List(List::Prompts),
            ..question
        };
        memory.note(&account, Some(bob), &prompts, json!({"prompts": []}), now);
        assert_eq!(told(bob), None, "the old list went with its owner");
        assert_eq!(memory.take_unwritten().len(), 1);
        assert!(memory.take_unwritten().is_empty());
    }
}
