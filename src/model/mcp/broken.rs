//! What is done when a stream of events breaks off before its end. Going on with one is asking for
//! what was said already (MCP 2025-11-25 transports, Resumability); nothing here ever sends a
//! message a second time.

/// What a stream was asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// GET: to hear whatever the server says.
    Listening,
    /// POST of a request: to hear its answer.
    Answering,
}

/// A stream at the moment at which it breaks.
#[derive(Clone, Copy, Debug)]
pub struct Broken {
    /// What it was asked for with.
    pub purpose: Purpose,
    /// Whether nothing of an event has come since the last whole one.
    pub between: bool,
    /// Whether the server has given the last whole event an id.
    pub has_id: bool,
    /// Whether its session was opened anew meanwhile.
    pub moved: bool,
    /// Whether the answer has come.
    pub answered: bool,
}

/// What is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is asked for what follows the last event.
    GoOn,
    /// The session that it moves to knows nothing of those events: it is asked for from its start.
    Begin,
    /// The agent is told that nobody knows what became of its request.
    Confess,
    /// It breaks off towards the agent as well.
    Break,
}

impl Broken {
    /// What is done.
    pub fn then(self) -> Then {
        match self.purpose {
            // There is no place to put anything.
            _ if !self.between => Then::Break,
            Purpose::Listening if self.moved => Then::Begin,
            Purpose::Listening if self.has_id => Then::GoOn,
            Purpose::Listening => Then::Break,
            Purpose::Answering if self.answered => Then::Break,
            Purpose::Answering if self.has_id && !self.moved => Then::GoOn,
            Purpose::Answering => Then::Confess,
        }
    }
}

impl Purpose {
    /// What is done where a stream that was to be gone on with cannot be had.
    pub fn in_vain(self) -> Then {
        match self {
            Self::Listening => Then::Break,
            Self::Answering => Then::Confess,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn broken() -> impl Strategy<Value = Broken> {
        let purpose = prop_oneof![Just(Purpose::Listening), Just(Purpose::Answering)];
        let flags = any::<[bool; 4]>();
        (purpose, flags).prop_map(|(purpose, [between, has_id, moved, answered])| Broken {
            purpose,
            between,
            has_id,
            moved,
            answered,
        })
    }

    proptest! {
        #[test]
        fn a_stream_goes_on_only_from_a_place_that_its_server_knows(broken in broken()) {
            let then = broken.then();
            if then == Then::GoOn {
                prop_assert!(broken.between && broken.has_id && !broken.moved);
            }
            if then == Then::Begin {
                prop_assert!(broken.between && broken.moved);
                prop_assert_eq!(broken.purpose, Purpose::Listening);
            }
        }

        #[test]
        fn a_request_has_one_answer_and_no_more(broken in broken()) {
            let adds = [broken.then(), broken.purpose.in_vain()];
            if broken.purpose == Purpose::Listening {
                prop_assert!(!adds.contains(&Then::Confess), "nobody waits for one");
            }
            if broken.answered && broken.purpose == Purpose::Answering {
                prop_assert_eq!(broken.then(), Then::Break, "it has come");
            }
            if !broken.between {
                prop_assert_eq!(broken.then(), Then::Break, "half an event is no place for one");
            }
        }

        #[test]
        fn who_waits_for_an_answer_is_not_left_without_a_word(broken in broken()) {
            if broken.purpose == Purpose::Answering && broken.between && !broken.answered {
                prop_assert!(matches!(broken.then(), Then::GoOn | Then::Confess));
                prop_assert_eq!(broken.purpose.in_vain(), Then::Confess);
            }
        }
    }
}
