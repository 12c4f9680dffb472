//! How often one request is sent: once, and again only where it is certain that it was not carried
//! out, or where it may be carried out twice (scenario 41; performance.md, "Stale keep-alive"). The
//! proxy sends what this tells it to send, and asks it after every sending.

/// What came of a sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The connection was one that had been idle, and was closed before anything came: the server
    /// may have closed it before the request arrived, or just after.
    Stale {
        /// Whether the request may be carried out twice.
        may_repeat: bool,
    },
    /// The server has said that it did not process it (RFC 9113 §8.7), and it can be sent again.
    Unprocessed,
    /// A proof of possession has to carry a nonce of the server's: it was not carried out (RFC 9449
    /// §9), and can be sent again.
    NonceWanted,
    /// The credential was rejected: the request was not carried out (RFC 9110 §15.5.2).
    Rejected,
    /// More scopes are wanted: the same (RFC 6750 §3.1).
    ScopesWanted,
    /// The server has lost the session that it names, and the session has been opened anew: the
    /// same (MCP 2025-11-25 transports, Session Management).
    SessionLost,
    /// Something else came, or nothing: whatever it is, it is the answer.
    Settled,
}

/// What is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The agent gets it.
    Answer,
    /// It is sent once more, with what was lacking.
    Again,
    /// The agent is told that the upstream rejects a credential that is new.
    GiveUp,
}

/// One request on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passage {
    new_connection: bool,
    nonced: bool,
    renewed: bool,
    repaired: bool,
}

impl Passage {
    /// What is done after a sending. Who asks whether scopes are wanted bounds how often that is.
    pub fn after(&mut self, came: Came) -> Next {
        match came {
            Came::Stale { may_repeat } if may_repeat && !self.new_connection => {
                self.new_connection = true;
                Next::Again
            }
            Came::Unprocessed if !self.new_connection => {
                self.new_connection = true;
                Next::Again
            }
            Came::NonceWanted if !self.nonced => {
                self.nonced = true;
                Next::Again
            }
            Came::Rejected if self.renewed => Next::GiveUp,
            Came::Rejected => {
                self.renewed = true;
                Next::Again
            }
            Came::ScopesWanted => Next::Again,
            Came::SessionLost if !self.repaired => {
                self.repaired = true;
                // The other connections may be as dead as the session was.
                self.new_connection = true;
                Next::Again
            }
            Came::Stale { .. }
            | Came::Unprocessed
            | Came::NonceWanted
            | Came::SessionLost
            | Came::Settled => Next::Answer,
        }
    }

    /// Whether a lost session may still be opened anew for it.
    pub fn may_repair(self) -> bool {
        !self.repaired
    }

    /// Whether its session was opened anew for it.
    pub fn is_repaired(self) -> bool {
        self.repaired
    }

    /// Whether it goes out on a new connection.
    pub fn on_new_connection(self) -> bool {
        self.new_connection
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn came() -> impl Strategy<Value = Came> {
        prop_oneof![
            any::<bool>().prop_map(|may_repeat| Came::Stale { may_repeat }),
            Just(Came::Unprocessed),
            Just(Came::NonceWanted),
            Just(Came::Rejected),
            Just(Came::ScopesWanted),
            Just(Came::SessionLost),
            Just(Came::Settled),
        ]
    }

    /// Whether a request that this came of has certainly not been carried out.
    fn proves_nothing_ran(came: Came) -> bool {
        matches!(
            came,
            Came::Unprocessed
                | Came::NonceWanted
                | Came::Rejected
                | Came::ScopesWanted
                | Came::SessionLost
        )
    }

    /// Plays a server that does what `script` says; how often the request may have been carried
    /// out, how often it was sent, and how it ended.
    fn play(script: &[Came], may_repeat: bool) -> (usize, usize, Option<Next>) {
        let mut passage = Passage::default();
        let (mut ran, mut sent) = (0, 0);
        for came in script {
            let came = match *came {
                Came::Stale { .. } => Came::Stale { may_repeat },
                other => other,
            };
            sent += 1;
            ran += usize::from(!proves_nothing_ran(came));
            match passage.after(came) {
                end @ (Next::Answer | Next::GiveUp) => return (ran, sent, Some(end)),
                Next::Again => {}
            }
        }
        (ran, sent, None)
    }

    proptest! {
        #[test]
        fn a_repeat_happens_only_after_proof_that_nothing_ran(
            script in proptest::collection::vec(came(), 0..12),
        ) {
            let (ran, _, _) = play(&script, false);
            prop_assert!(ran <= 1, "what must not run twice does not");
            // What may run twice does, once, and only on a connection that had been idle.
            prop_assert!(play(&script, true).0 <= 2);
        }

        #[test]
        fn every_request_gets_exactly_one_answer_and_soon(
            script in proptest::collection::vec(came(), 0..12),
            may_repeat in any::<bool>(),
        ) {
            let waits = script.iter().filter(|came| **came == Came::ScopesWanted).count();
            let (_, sent, end) = play(&script, may_repeat);
            // A connection that was no use, a nonce, a rejected credential, a lost session: once each.
            prop_assert!(sent <= 5 + waits);
            prop_assert!(end.is_some() || sent == script.len());
            let whole = [&script[..], &[Came::Settled]].concat();
            prop_assert!(play(&whole, may_repeat).2.is_some());
        }

        #[test]
        fn whatever_it_waits_for_it_waits_for_once(
            script in proptest::collection::vec(came(), 0..12),
        ) {
            let mut passage = Passage::default();
            let mut seen = Vec::new();
            for came in script {
                let next = passage.after(came);
                if matches!(next, Next::Answer | Next::GiveUp) {
                    break;
                }
                if came != Came::ScopesWanted {
                    prop_assert!(!seen.contains(&came), "{came:?} twice");
                    seen.push(came);
                }
            }
        }
    }
}
