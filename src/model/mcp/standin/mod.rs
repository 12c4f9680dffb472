//! Answering in the place of a server that cannot be asked. Agents try a server once, and one
//! whose first handshake fails is lost for the whole session (decision D10); so the handshake and
//! the lists are answered here, and a call carries the words. What is decided: who answers what.

mod answers;
mod elicit;
mod listen;
mod stub;
mod wanted;

pub use answers::{Answers, LONGEST_KEPT, Question, Topic, result_of};
pub use elicit::{Elicitation, can_ask, completion, without_answer};
pub use listen::{Listening, is_acknowledgement};
pub use stub::{ANNOUNCEMENTS, TOOL, over, result, unsigned};
pub use wanted::{LISTEN, List, Wanted, Wants};

use wanted::revision_of;

use super::Change;
use crate::model::catalogue::Code;

/// Why a server cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// A person must sign in. The request has certainly not been carried out.
    Person,
    /// Something that passes by itself, or that no sign-in changes.
    Passing,
}

impl Absence {
    /// What trouble with this code means; `None` where it is not about the server's being there.
    pub fn of(code: Code) -> Option<Self> {
        match code {
            Code::LoginRequired => Some(Self::Person),
            Code::ScopeNeeded
            | Code::UpstreamRejected
            | Code::RefreshUnavailable
            | Code::UpstreamUnreachable
            | Code::UpstreamTls
            | Code::UpstreamTimeout
            | Code::ConnectionLost
            | Code::Busy => Some(Self::Passing),
            _ => None,
        }
    }
}

/// Which MCP session a request is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It names none: it opens one, or there are none in its revision or of its server.
    None,
    /// One that this daemon opened in the place of the server, which knows nothing of it yet.
    Waiting,
    /// One that the server has opened.
    Open,
}

/// What is done with a request whose server cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is answered from what the server said before, else from the stub.
    Stand,
    /// It is answered from what the server said before, else told the trouble: the agent has had
    /// the real answer once.
    Remember,
    /// It is answered with an empty result.
    Agree,
    /// The same, and made good when the session is opened upstream.
    Subscribe(Change),
    /// It waits for the sign-in, and is sent then.
    Hold,
    /// It is acknowledged, and hears of what changes when the server is there.
    Attend,
    /// It is acknowledged: it waits for nothing, and there is nobody to tell it to.
    Accept,
    /// It is told the trouble.
    Tell,
}

/// What is done with `wanted`.
pub fn part(wanted: &Wanted, standing: Standing, absence: Absence) -> Part {
    match wanted {
        Wanted::Hello | Wanted::Discover => Part::Stand,
        Wanted::List(_) => match (standing, absence) {
            (Standing::Waiting, _) | (Standing::None, Absence::Person) => Part::Stand,
            // It may be a moment's trouble of an agent that has the real list, and that nobody
            // could tell of a change later.
            (Standing::None, Absence::Passing) | (Standing::Open, _) => Part::Remember,
        },
        Wanted::Ping if standing != Standing::None => Part::Agree,
        Wanted::Subscribe(change) if standing == Standing::Waiting => {
            Part::Subscribe(change.clone())
        }
        Wanted::Call | Wanted::SignIn | Wanted::Fetch if absence == Absence::Person => Part::Hold,
        Wanted::Listen if standing == Standing::None => Part::Attend,
        Wanted::Nothing if standing == Standing::Waiting => Part::Accept,
        Wanted::Nothing
        | Wanted::Ping
        | Wanted::Subscribe(_)
        | Wanted::Call
        | Wanted::SignIn
        | Wanted::Fetch
        | Wanted::Listen
        | Wanted::Other => Part::Tell,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> impl Strategy<Value = Wanted> {
        prop_oneof![
            Just(Wanted::Hello),
            Just(Wanted::Discover),
            Just(Wanted::List(List::Tools)),
            Just(Wanted::List(List::Templates)),
            Just(Wanted::Ping),
            Just(Wanted::Subscribe(Change::Add("a://1".to_owned()))),
            Just(Wanted::Call),
            Just(Wanted::SignIn),
            Just(Wanted::Fetch),
            Just(Wanted::Listen),
            Just(Wanted::Nothing),
            Just(Wanted::Other),
        ]
    }

    fn standing() -> impl Strategy<Value = Standing> {
        prop_oneof![
            Just(Standing::None),
            Just(Standing::Waiting),
            Just(Standing::Open)
        ]
    }

    proptest! {
        #[test]
        fn a_call_is_never_answered_as_if_it_had_been_carried_out(
            wanted in wanted(),
            standing in standing(),
            person in any::<bool>(),
        ) {
            let absence = if person { Absence::Person } else { Absence::Passing };
            let part = part(&wanted, standing, absence);
            if matches!(wanted, Wanted::Call | Wanted::Fetch | Wanted::Other) {
                prop_assert!(matches!(part, Part::Hold | Part::Tell));
            }
            // What is sent later must certainly not have been sent before.
            if part == Part::Hold {
                prop_assert_eq!(absence, Absence::Person);
            }
            // Only what a server has not been told yet is made good later.
            if matches!(part, Part::Subscribe(_) | Part::Accept) {
                prop_assert_eq!(standing, Standing::Waiting);
            }
            // Agents that have the real lists are not given a stub of them.
            if standing == Standing::Open && matches!(wanted, Wanted::List(_)) {
                prop_assert_eq!(part, Part::Remember);
            }
        }
    }

    #[test]
    fn only_a_missing_sign_in_proves_that_nothing_was_carried_out() {
        let held = |code: &&Code| Absence::of(**code) == Some(Absence::Person);
        let held: Vec<_> = Code::ALL.iter().filter(held).collect();
        assert_eq!(held, [&Code::LoginRequired]);
        for code in [Code::McpSession, Code::SessionRevoked, Code::BadRequest] {
            assert_eq!(Absence::of(code), None, "{code}");
        }
    }
}
