//! What is printed: a line every second, and the sum.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use super::clerk::{Clerk, Seen};
use super::failed;
use super::guest::Guest;
use crate::ctl::{Color, Fault, Screen};

/// Calls of one kind of agent.
#[derive(Debug, Default)]
pub(super) struct Count {
    calls: Cell<u64>,
    failures: Cell<u64>,
}

impl Count {
    /// Notes a call that worked, or did not.
    pub(super) fn add(&self, worked: bool) {
        self.calls.set(self.calls.get() + 1);
        if !worked {
            self.failures.set(self.failures.get() + 1);
        }
    }
}

/// Calls of all agents.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Through doorward.
    pub(super) sessions: Count,
    /// Without it.
    pub(super) bare: Count,
}

/// How it stands: what `--json` prints every second, all counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    schema: &'static str,
    second: u32,
    calls: u64,
    failures: u64,
    refreshes: u64,
    reuses: u64,
    sign_ins: u64,
    sessions: usize,
    bare_calls: u64,
    bare_failures: u64,
    done: bool,
}

impl Line {
    /// Whether all went as it should.
    pub(super) fn is_clean(&self) -> bool {
        self.calls > 0 && self.failures == 0 && self.reuses == 0
    }
}

/// Counts and prints.
pub(super) struct Score<'s> {
    screen: &'s Screen,
    clerk: &'s Clerk,
    tally: &'s Tally,
}

impl<'s> Score<'s> {
    pub(super) fn new(screen: &'s Screen, clerk: &'s Clerk, tally: &'s Rc<Tally>) -> Self {
        Self {
            screen,
            clerk,
            tally,
        }
    }

    /// Prints a line every second until the time is over or Ctrl-C; returns the last one.
    pub(super) async fn keep(&mut self, daemon: &Guest, seconds: u32) -> Result<Line, Fault> {
        self.print("\n  SECOND    CALLS  FAILURES  REFRESHES  SESSIONS    FAILED WITHOUT DOORWARD");
        let mut ticks = actix_rt::time::interval(Duration::from_secs(1));
        ticks.tick().await;
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        let mut line = self.line(0, daemon).await?;
        while line.second < seconds {
            tokio::select! {
                _ = ticks.tick() => {}
                caught = &mut stop => {
                    caught.map_err(|e| failed("Ctrl-C cannot be received", e))?;
                    break;
                }
            }
            line = self.line(line.second + 1, daemon).await?;
            if self.screen.format().is_json() {
                self.screen.jsonl(&[line]);
            } else {
                self.screen.out(self.row(&line));
            }
        }
        Ok(line)
    }

    async fn line(&self, second: u32, daemon: &Guest) -> Result<Line, Fault> {
        let Seen {
            sign_ins,
            refreshes,
            reuses,
        } = self.clerk.seen();
        let Tally { sessions, bare } = self.tally;
        Ok(Line {
            schema: "doorward/demo/v1",
            second,
            calls: sessions.calls.get(),
            failures: sessions.failures.get(),
            refreshes,
            reuses,
            sign_ins,
            sessions: daemon.sessions().await?,
            bare_calls: bare.calls.get(),
            bare_failures: bare.failures.get(),
            done: false,
        })
    }

    fn row(&self, line: &Line) -> String {
        let bad = |count: u64, text: String| match count {
            0 => text,
            _ => self.screen.painted(&text, Color::Red),
        };
        format!(
            "  {:>6}  {:>7}  {}  {:>9}  {:>8}    {}",
            line.second,
            line.calls,
            bad(line.failures, format!("{:>8}", line.failures)),
            line.refreshes,
            line.sessions,
            bad(
                line.bare_failures,
                format!(
                    "{:>23}",
                    format!("{} of {}", line.bare_failures, line.bare_calls)
                )
            ),
        )
    }

    fn print(&self, text: &str) {
        if !self.screen.format().is_json() {
            self.screen.out(text);
        }
    }

    /// Prints the sum.
    pub(super) fn sum_up(&self, last: &Line) {
        if self.screen.format().is_json() {
            self.screen.jsonl(&[Line {
                done: true,
                ..*last
            }]);
            return;
        }
        let plural = |count: u64, word: &str, many: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {many}"),
        };
        self.print(&format!(
            "\n{} sessions made {} in {}: {} failed.",
            last.sessions,
            plural(last.calls, "call", "calls"),
            plural(last.second.into(), "second", "seconds"),
            last.failures,
        ));
        self.print(&format!(
            "The authorization server saw {} and {}; {} came twice.",
            plural(last.sign_ins, "sign-in", "sign-ins"),
            plural(last.refreshes, "refresh", "refreshes"),
            match last.reuses {
                0 => "no refresh token".to_owned(),
                count => plural(count, "refresh token", "refresh tokens"),
            },
        ));
        self.print(&format!(
            "An agent that kept the token of its start, as agents do: {} of its {} failed.",
            last.bare_failures,
            plural(last.bare_calls, "call", "calls"),
        ));
        self.screen
            .say("\nWith a server of yours: doorward login https://mcp.example.com/mcp");
    }
}
