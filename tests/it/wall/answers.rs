//! The answer of one request never reaches another, whatever upstreams do to a connection: many
//! sessions at once, each call with a word of its own, accounts with credentials of their own
//! behind one server, so that they share its connections.

use std::collections::BTreeMap;
use std::sync::Mutex;

use doorward::model::session::Grant;

use crate::support::agent::{Agent, Options, publish, upstream};
use crate::support::raw::{Message, Upstream, Wire, answer, chunk};

const SESSIONS: u8 = 64;
const ACCOUNTS: u64 = 8;
const ROUNDS: usize = 33;

/// What the server does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Plain,
    Interim,
    TwoInterims,
    Chunked,
    UntilTheEnd,
    Early,
    Reset,
    ResetInside,
    Truncated,
    TruncatedChunks,
    AnotherAnswerBehind,
}

const DEEDS: [Deed; 11] = [
    Deed::Plain,
    Deed::Interim,
    Deed::TwoInterims,
    Deed::Chunked,
    Deed::UntilTheEnd,
    Deed::Early,
    Deed::Reset,
    Deed::ResetInside,
    Deed::Truncated,
    Deed::TruncatedChunks,
    Deed::AnotherAnswerBehind,
];

impl Deed {
    /// Whether the agent must get the whole answer: nothing on its own connection is wrong.
    fn is_sound(self) -> bool {
        !matches!(
            self,
            Self::Reset | Self::ResetInside | Self::Truncated | Self::TruncatedChunks
        )
    }
}

/// The deed of a word such as `w-12-7`.
fn deed_of(word: &str) -> Deed {
    let numbers = word
        .split('-')
        .filter_map(|part| part.parse::<usize>().ok());
    DEEDS[numbers.sum::<usize>() % DEEDS.len()]
}

/// Answers with what it was asked and by whom; `false` where the connection is done with.
fn act(wire: &mut Wire) -> Option<bool> {
    let mut request = wire.head()?;
    let word = request.field("x-word").unwrap_or_default().to_owned();
    let deed = deed_of(&word);
    let by = request.field("authorization").unwrap_or_default();
    let by = by.to_owned();
    if deed == Deed::Early {
        let early = format!("{word} {by} early");
        wire.write(answer("200 OK", "connection: close\r\n", &early));
        wire.body(&mut request);
        return Some(false);
    }
    wire.body(&mut request);
    let echo = format!("{} {by} {}", request.text(), "x".repeat(word.len() * 100));
    let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: <{word}>\r\n\r\n");
    let more = echo.len() + 100;
    let bytes = match deed {
        Deed::Early | Deed::Reset => return None,
        Deed::Plain => answer("200 OK", "", &echo),
        Deed::Interim => [hint.into_bytes(), answer("200 OK", "", &echo)].concat(),
        Deed::TwoInterims => {
            wire.write(&hint);
            [hint.into_bytes(), answer("200 OK", "", &echo)].concat()
        }
        Deed::Chunked | Deed::TruncatedChunks => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let (one, two) = echo.split_at(echo.len() / 2);
            let end = if deed == Deed::Chunked {
                "0\r\n\r\n"
            } else {
                "5\r\nab"
            };
            format!("{head}{}{}{end}", chunk(one), chunk(two)).into_bytes()
        }
        Deed::UntilTheEnd => format!("HTTP/1.1 200 OK\r\n\r\n{echo}").into_bytes(),
        Deed::ResetInside | Deed::Truncated => {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {more}\r\n\r\n{echo}").into_bytes()
        }
        Deed::AnotherAnswerBehind => [
            answer("200 OK", "", &echo),
            answer("200 OK", "x-junk: yes\r\n", &format!("junk of {word}")),
        ]
        .concat(),
    };
    if deed == Deed::ResetInside {
        wire.write(bytes);
        return None;
    }
    let goes_on = matches!(
        deed,
        Deed::Plain | Deed::Interim | Deed::TwoInterims | Deed::Chunked | Deed::AnotherAnswerBehind
    );
    Some(wire.write(bytes) && goes_on)
}

fn serve(mut wire: Wire) {
    loop {
        match act(&mut wire) {
            Some(true) => {}
            Some(false) => return,
            None => return wire.reset(),
        }
    }
}

/// Says what is wrong with an answer to `word`, asked for account `account`.
fn judge(word: &str, account: u64, answer: Option<&Message>) -> Option<String> {
    let deed = deed_of(word);
    let Some(answer) = answer else {
        return deed
            .is_sound()
            .then(|| format!("{word} {deed:?}: no answer"));
    };
    let text = answer.text();
    if answer.status() != 200 {
        let ours = answer.field("doorward-origin") == Some("local");
        let right = ours && !deed.is_sound() && !text.contains("w-");
        return (!right).then(|| format!("{word} {deed:?}: {} {text}", answer.status()));
    }
    let begins = format!("{word} Bearer token-{account} ");
    let own = text.starts_with(&begins) && text.matches("w-").count() == 1;
    let junk = answer.field("x-junk").is_some() || text.contains("junk");
    let right = own && !junk && answer.whole == deed.is_sound();
    (!right).then(|| format!("{word} {deed:?}: {begins:?} {} {text}", answer.whole))
}

#[test]
fn px_1xx_handling_and_no_answer_reaches_another_request() {
    let server = Upstream::scripted(serve);
    let names: Vec<_> = (0..ACCOUNTS).map(|n| format!("up{n}")).collect();
    let agent = Agent::start(Options {
        upstreams: names
            .iter()
            .map(|name| upstream(name, server.url("/mcp")))
            .collect(),
        ..Options::default()
    });
    for (name, account) in names.iter().zip(0..) {
        publish(&agent.slot(name), 100 + account);
    }
    let tally = Mutex::new(BTreeMap::new());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..SESSIONS {
            let (token, _) = agent.mint(100 + number, Grant::All);
            let (agent, tally, wrong) = (&agent, &tally, &wrong);
            scope.spawn(move || {
                let account = u64::from(number) % ACCOUNTS;
                let mut wire = agent.connect();
                for round in 0..ROUNDS {
                    let word = format!("w-{number}-{round}");
                    wire.write(format!(
                        "POST /u/up{account} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
                         x-word: {word}\r\ncontent-type: application/json\r\n\
                         content-length: {}\r\n\r\n{word}",
                        agent.address,
                        word.len()
                    ));
                    let answer = wire.message();
                    let said = judge(&word, 100 + account, answer.as_ref());
                    wrong.lock().expect("unpoisoned").extend(said);
                    *tally
                        .lock()
                        .expect("unpoisoned")
                        .entry(deed_of(&word))
                        .or_insert(0) += 1;
                    let closes = |answer: &Message| answer.field("connection") == Some("close");
                    if answer.is_none_or(|answer| !answer.whole || closes(&answer)) {
                        wire = agent.connect();
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("unpoisoned");
    assert!(
        wrong.is_empty(),
        "{} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
    let tally = tally.into_inner().expect("unpoisoned");
    let each = usize::from(SESSIONS) * ROUNDS / DEEDS.len();
    assert!(DEEDS.iter().all(|deed| tally[deed] == each), "{tally:?}");
}
