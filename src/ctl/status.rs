//! `status`: what is signed in, what is running, what needs a person.

use super::{Color, Ctl, Fault, Format, Outcome, Screen, column};
use crate::api::{self, Account, AccountState, DaemonState, Status};
use crate::model::catalogue::{Code, Problem};
use crate::model::time::brief;

/// What `status` was asked.
#[derive(Clone, Debug, Default)]
pub struct StatusArguments {
    /// One upstream only, or one account of it.
    pub upstream: Option<String>,
    /// Whether to talk to each upstream now.
    pub check: bool,
}

/// Asks and prints.
pub async fn status(ctl: &Ctl, arguments: &StatusArguments) -> Outcome {
    let mut status: Status = ctl.client.get(api::path::STATUS).await?;
    if let Some(wanted) = &arguments.upstream {
        only(&mut status, wanted)?;
    }
    let mut failed = None;
    if arguments.check {
        for account in &status.upstreams {
            if account.state == AccountState::Disabled {
                continue;
            }
            let path = api::path::test(&account.reference());
            let report: api::TestReport = ctl.client.post(&path, &()).await?;
            if let Some(problem) = report.problem {
                let exit = problem.code().map_or(8, |code| code.entry().exit);
                failed = Some(failed.map_or(exit, |other: u8| other.max(exit)));
                let name = account.reference();
                ctl.screen
                    .warn(format!("{name}: {}. {}", problem.what, problem.why));
            }
        }
        status = ctl.client.get(api::path::STATUS).await?;
        if let Some(wanted) = &arguments.upstream {
            only(&mut status, wanted)?;
        }
    }
    let exit = print_status(&ctl.screen, &status);
    Ok(failed.map_or(exit, |failed| if exit == 0 { failed } else { exit }))
}

/// Keeps the accounts that `wanted` names.
fn only(status: &mut Status, wanted: &str) -> Result<(), Fault> {
    let meant = |account: &Account| account.name == wanted || full(account) == wanted;
    if !status.upstreams.iter().any(meant) {
        let names: Vec<String> = status.upstreams.iter().map(Account::reference).collect();
        let unknown = Problem::new(Code::UpstreamUnknown).with("name", wanted);
        return Err(unknown.with("names", list_or_none(&names)).into());
    }
    status.upstreams.retain(meant);
    Ok(())
}

fn list_or_none(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

fn full(account: &Account) -> String {
    format!("{}@{}", account.name, account.account)
}

/// Prints a status and gives its exit code: 0 when everything that is switched on can be used,
/// 4 when something needs a sign-in, 8 when something fails, 3 when no daemon runs.
pub fn print_status(screen: &Screen, status: &Status) -> u8 {
    match screen.format() {
        Format::Json => {
            let mut status = status.clone();
            screen.spell_all(&mut status.upstreams);
            screen.json(&status);
        }
        Format::Jsonl => {
            let mut upstreams = status.upstreams.clone();
            screen.spell_all(&mut upstreams);
            screen.jsonl(&upstreams);
        }
        Format::Name => {
            for account in &status.upstreams {
                screen.out(account.reference());
            }
        }
        Format::Table | Format::Wide => print_table(screen, status),
    }
    let has = |state| {
        status
            .upstreams
            .iter()
            .any(|account| account.state == state)
    };
    match status.daemon.state {
        DaemonState::Stopped => 3,
        _ if has(AccountState::Login) => 4,
        _ if has(AccountState::Error) => 8,
        _ => 0,
    }
}

fn print_table(screen: &Screen, status: &Status) {
    screen.out(header(screen, status));
    let store = status.daemon.store.as_ref().filter(|store| store.ok);
    if let Some(detail) = store.and_then(|store| store.detail.as_ref()) {
        screen.out(format!("  {detail}"));
    }
    for warning in &status.daemon.warnings {
        screen.warn(warning);
    }
    let stopped = status.daemon.state == DaemonState::Stopped;
    if status.upstreams.is_empty() {
        screen.out("");
        screen.out("No upstream is configured.");
        screen.hint("doorward login https://mcp.example.com/mcp");
        return;
    }
    screen.out("");
    let mut columns = vec![
        column("UPSTREAM"),
        column("ACCOUNT"),
        column("STATE"),
        column("TOKEN"),
        column("LAST USED"),
        column("NOTE").flexible(),
    ];
    let wide = screen.format() == Format::Wide;
    if wide {
        columns.push(column("URL"));
        columns.push(column("LOCAL URL"));
        columns.push(column("SESSIONS").right());
    }
    let rows = status.upstreams.iter().map(|account| {
        let mut row = row(screen, account, stopped);
        if wide {
            row.push(account.url.clone());
            row.push(account.local_url.clone());
            row.push(account.sessions.to_string());
        }
        row
    });
    screen.table(&columns, rows.collect());
    print_needs(screen, status, stopped);
}

fn print_needs(screen: &Screen, status: &Status, stopped: bool) {
    if stopped {
        screen.out("");
        screen.out(screen.spell("run: doorward up"));
        return;
    }
    let waiting = status
        .upstreams
        .iter()
        .filter(|account| account.state == AccountState::Login);
    let waiting: Vec<&Account> = waiting.collect();
    if let Some(first) = waiting.first() {
        let verb = if waiting.len() == 1 { "needs" } else { "need" };
        let line = format!(
            "{} {verb} you: doorward login {}",
            waiting.len(),
            first.reference()
        );
        screen.out("");
        screen.out(screen.painted(&screen.spell(&line), Color::Yellow));
    }
}

/// The line on the daemon itself.
pub(super) fn header(screen: &Screen, status: &Status) -> String {
    let daemon = &status.daemon;
    if daemon.state == DaemonState::Stopped {
        return "doorward is not running".to_owned();
    }
    let mut parts = vec![format!(
        "doorward {}",
        daemon.version.as_deref().unwrap_or("?")
    )];
    parts.push(match (daemon.state, daemon.started_at) {
        (DaemonState::Stopping, _) => "stopping".to_owned(),
        (_, None) => "running".to_owned(),
        (_, Some(start)) => format!("running {}", brief(screen.now().since(start.0), 2)),
    });
    parts.push(daemon.base_url.clone());
    parts.push(match status.counts.sessions {
        1 => "1 session".to_owned(),
        n => format!("{n} sessions"),
    });
    if daemon.locked {
        parts.push("locked".to_owned());
    }
    if let Some(store) = &daemon.store {
        parts.push(match (&store.detail, store.ok) {
            (_, true) => format!("{} ok", store.kind),
            (None, false) => format!("{} fails", store.kind),
            (Some(detail), false) => format!("{} fails: {detail}", store.kind),
        });
    }
    parts.join(screen.dot())
}

fn row(screen: &Screen, account: &Account, stopped: bool) -> Vec<String> {
    let dash = || screen.dash().to_owned();
    let token = match account.token.and_then(|token| token.expires_at) {
        Some(end) if end.0 > screen.now() => {
            format!("{} left", brief(end.0.since(screen.now()), 1))
        }
        Some(_) if account.token.is_some_and(|token| token.refreshable) => "at next use".to_owned(),
        Some(_) => "over".to_owned(),
        None => dash(),
    };
    let note = match &account.problem {
        _ if stopped => String::new(),
        None => String::new(),
        Some(problem) if problem.code() == Some(Code::LoginRequired) => {
            screen.spell(&format!("run: doorward login {}", account.reference()))
        }
        Some(problem) => format!(
            "{} {} doorward explain {}",
            problem.why,
            screen.dash(),
            problem.code
        ),
    };
    let state = if stopped && account.state == AccountState::Error {
        dash()
    } else {
        account.state.as_str().to_owned()
    };
    vec![
        account.reference(),
        account.identity.clone().unwrap_or_else(dash),
        state,
        if stopped { dash() } else { token },
        if stopped {
            dash()
        } else {
            screen.ago(account.last_used_at)
        },
        note,
    ]
}
