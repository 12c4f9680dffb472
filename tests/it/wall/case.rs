//! One row of the table: bytes on the agent port, and all that may come of them.

use std::fmt;

/// What a client sends, and what is expected.
pub(super) struct Case {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// The bytes. `{host}`, `{bearer}` and `{json}` stand for whole fields, `{own}` and `{port}`
    /// for the address of the port, `{call}` for the head of a call up to its framing.
    pub(super) sends: &'static str,
    /// The statuses of the answers, in order.
    pub(super) answers: &'static [u16],
    /// What becomes of the connection.
    pub(super) then: Then,
    /// What the upstream gets.
    pub(super) upstream: Reaches,
}

/// What becomes of a connection after the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It is closed, and what else was sent is not read as a request.
    Closed,
    /// The next request on it is answered.
    GoesOn,
    /// What was left over spoils the next request, which is answered by 400.
    Garbled,
}

/// What the upstream gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaches {
    /// Not one byte.
    Nothing,
    /// These bodies, each in a request of its own and framed by the daemon.
    Bodies(&'static [&'static str]),
    /// The beginning of a request that is never finished.
    Part,
}

/// One row.
pub(super) const fn row(
    name: &'static str,
    sends: &'static str,
    answers: &'static [u16],
    then: Then,
    upstream: Reaches,
) -> Case {
    Case {
        name,
        sends,
        answers,
        then,
        upstream,
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: Vec<_> = self.answers.iter().map(u16::to_string).collect();
        let then = match self.then {
            Then::Closed => "closed",
            Then::GoesOn => "goes on",
            Then::Garbled => "400, closed",
        };
        let upstream = match self.upstream {
            Reaches::Nothing => "nothing".to_owned(),
            Reaches::Bodies([_]) => "one call".to_owned(),
            Reaches::Bodies(bodies) => format!("{} calls", bodies.len()),
            Reaches::Part => "an unfinished call".to_owned(),
        };
        let answers = match answers.join(", ") {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        };
        write!(f, "| {} | {answers} | {then} | {upstream} |", self.name)
    }
}
