//! Upstreams of a running daemon: list, show, test, refresh.

use super::{Color, Ctl, Format, Outcome, Screen, column};
use crate::api::{self, Account, Refreshed, StepResult, TestReport, UpstreamDetail, Upstreams};
use crate::model::catalogue::Code;

/// `upstream list`
pub async fn list(ctl: &Ctl) -> Outcome {
    let upstreams: Upstreams = ctl.client.get(api::path::UPSTREAMS).await?;
    print_list(&ctl.screen, &upstreams);
    Ok(0)
}

/// Prints the list.
pub fn print_list(screen: &Screen, upstreams: &Upstreams) {
    match screen.format() {
        Format::Json | Format::Jsonl => {
            let mut upstreams = upstreams.clone();
            screen.spell_all(&mut upstreams.items);
            if screen.format() == Format::Json {
                screen.json(&upstreams);
            } else {
                screen.jsonl(&upstreams.items);
            }
        }
        Format::Name => {
            let mut names: Vec<&str> = upstreams.items.iter().map(|a| a.name.as_str()).collect();
            names.dedup();
            for name in names {
                screen.out(name);
            }
        }
        Format::Table | Format::Wide if upstreams.items.is_empty() => {
            screen.say("No upstream is configured.");
            screen.hint("doorward login https://mcp.example.com/mcp");
        }
        Format::Table | Format::Wide => {
            let columns = [
                column("NAME"),
                column("URL").flexible(),
                column("AUTH"),
                column("ACCOUNT"),
                column("STATE"),
                column("LOCAL URL"),
            ];
            let dash = || screen.dash().to_owned();
            let row = |account: &Account| {
                // Nothing is known of an upstream while no daemon runs.
                let unknown =
                    account.problem.as_ref().and_then(api::Trouble::code) == Some(Code::NotRunning);
                vec![
                    account.reference(),
                    account.url.clone(),
                    account.auth.clone(),
                    account.identity.clone().unwrap_or_else(dash),
                    if unknown {
                        dash()
                    } else {
                        account.state.as_str().to_owned()
                    },
                    account.local_url.clone(),
                ]
            };
            screen.table(&columns, upstreams.items.iter().map(row).collect());
        }
    }
}

/// `upstream show NAME`
pub async fn show(ctl: &Ctl, name: &str) -> Outcome {
    let mut detail: UpstreamDetail = ctl.client.get(&api::path::upstream(name)).await?;
    let screen = &ctl.screen;
    screen.spell_all(&mut detail.items);
    match screen.format() {
        Format::Json => screen.json(&detail),
        Format::Jsonl => screen.jsonl(&detail.items),
        Format::Name => screen.out(name),
        Format::Table | Format::Wide => {
            for account in &detail.items {
                print_account(screen, account);
            }
            screen.out("");
            let columns = [
                column("SETTING"),
                column("VALUE").flexible(),
                column("SOURCE"),
            ];
            let row = |setting: &api::SettingView| {
                vec![
                    setting.key.clone(),
                    setting.value.clone(),
                    setting.source.clone(),
                ]
            };
            screen.table(&columns, detail.settings.iter().map(row).collect());
            if detail.items.iter().any(|account| account.auth == "oauth") {
                screen.out("");
                screen.out(format!("redirect URI to register: {}", detail.redirect_uri));
            }
            for line in &detail.discovery {
                screen.out(format!("  {line}"));
            }
        }
    }
    Ok(0)
}

/// All that is known of one account, for a person who looks for what is wrong.
fn print_account(screen: &Screen, account: &Account) {
    let line = |name: &str, value: String| screen.out(format!("{name:<14}{value}"));
    line("account", account.reference());
    line("state", account.state.as_str().to_owned());
    if let Some(identity) = &account.identity {
        line("signed in as", identity.clone());
    }
    line("local address", account.local_url.clone());
    if !account.scopes.is_empty() {
        line("scopes", account.scopes.join(" "));
    }
    if let Some(token) = account.token {
        line("token ends", screen.until(token.expires_at));
        line("renewed", screen.ago(token.refreshed_at));
        if account.auth == "oauth" {
            let held = if token.refreshable { "held" } else { "none" };
            line("refresh token", held.to_owned());
        }
    }
    line("last used", screen.ago(account.last_used_at));
    line("sessions", account.sessions.to_string());
    if let Some(problem) = &account.problem {
        line("problem", format!("{} ({})", problem.what, problem.code));
        line("  why", problem.why.clone());
        if let Some(fix) = &problem.fix {
            line("  run", screen.spell(fix));
        }
    }
}

/// `upstream test NAME`
pub async fn test(ctl: &Ctl, account: &str) -> Outcome {
    let report: TestReport = ctl.client.post(&api::path::test(account), &()).await?;
    let screen = &ctl.screen;
    if screen.format().is_json() {
        screen.json(&report);
    } else {
        for step in &report.steps {
            let color = match step.result {
                StepResult::Ok => Color::Green,
                StepResult::Warn => Color::Yellow,
                StepResult::Fail => Color::Red,
                StepResult::Skip => Color::Dim,
            };
            let result = screen.painted(&format!("{:<4}", step.result.as_str()), color);
            let message = step.message.replace(char::is_control, " ");
            screen.out(format!(
                " {result}  {:<14}{message} ({} ms)",
                step.name, step.ms
            ));
        }
        if let Some(problem) = &report.problem {
            screen.out(format!("{}: {}", problem.what, problem.why));
            if let Some(fix) = &problem.fix {
                screen.out(screen.spell(&format!("run: {fix}")));
            }
        }
    }
    let exit = |problem: &api::Trouble| problem.code().map_or(8, |code| code.entry().exit);
    Ok(report.problem.as_ref().map_or(0, exit))
}

/// What is found at an upstream that was added just now, in one line; `None` where no daemon looks,
/// or it does not say.
pub async fn found(ctl: &Ctl, account: &str) -> Option<String> {
    let path = api::path::test(account);
    let report: TestReport = ctl.client.post(&path, &()).await.ok()?;
    Some(summary(&report).replace(char::is_control, " "))
}

/// What a trial found, in one line. That the upstream is there and answers otherwise than expected
/// is no failure of adding it.
fn summary(report: &TestReport) -> String {
    let step = |name: &str| report.steps.iter().find(|step| step.name == name);
    let failed = step("connection").filter(|step| step.result == StepResult::Fail);
    if let Some(connection) = failed {
        return format!("{}; it is added all the same", connection.message);
    }
    let Some(hello) = step("initialize").or_else(|| step("stream")) else {
        return "nothing was found out".to_owned();
    };
    if hello.result != StepResult::Ok {
        return hello.message.trim_start_matches("not tried: ").to_owned();
    }
    let tools = step("tools").filter(|step| step.result == StepResult::Ok);
    let tools = tools.map_or_else(String::new, |step| format!(", {}", step.message));
    format!("answered in {} ms: {}{tools}", hello.ms, hello.message)
}

/// `ctl refresh NAME`
pub async fn refresh(ctl: &Ctl, account: &str) -> Outcome {
    let refreshed: Refreshed = ctl.client.post(&api::path::refresh(account), &()).await?;
    let screen = &ctl.screen;
    if screen.format().is_json() {
        screen.json(&refreshed);
        return Ok(0);
    }
    let account = &refreshed.account;
    let end = account.token.and_then(|token| token.expires_at);
    screen.out(match end {
        Some(_) => format!(
            "{} renewed {}; the new token ends {}",
            screen.tick(),
            account.reference(),
            screen.until(end)
        ),
        None => format!("{} renewed {}", screen.tick(), account.reference()),
    });
    Ok(0)
}
