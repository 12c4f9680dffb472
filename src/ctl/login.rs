//! `login` and `logout`.

use std::time::Duration;

use http::Method;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::browser::{self, Opened};
use super::{Color, Ctl, Fault, Outcome, device, paste};
use crate::api::{
    self, Account, LoggedOut, LoginProgress, LoginStarted, LoginState, Logout, Moment,
    ProviderRevocation, StartLogin, Status, Upstreams,
};
use crate::model::catalogue::{Code, Problem};
use crate::model::time::brief;

/// How long one question after the outcome may stay unanswered; the daemon answers at once when
/// something happens.
const LONG_POLL: Duration = Duration::from_secs(25);

/// How much longer than its own wait a command waits for the daemon's word that it is over.
const GRACE: Duration = Duration::from_secs(1);

/// The exit code of a command that was interrupted from the keyboard, as shells have it.
const INTERRUPTED: u8 = 130;

/// What `login` was asked.
#[derive(Clone, Debug, Default)]
pub struct LoginArguments {
    /// The upstream account.
    pub account: String,
    /// The request.
    pub request: StartLogin,
    /// Whether to print the address only.
    pub no_browser: bool,
}

/// `login`: opens the page and waits until the person is done.
pub async fn login(ctl: &Ctl, arguments: &LoginArguments) -> Outcome {
    let path = api::path::login(&arguments.account);
    let started: LoginStarted = ctl.client.post(&path, &arguments.request).await?;
    let screen = &ctl.screen;
    if let Some(account) = &started.already_signed_in {
        if screen.format().is_json() {
            screen.json(account);
            return Ok(0);
        }
        let name = account.reference();
        screen.out(match account.auth.as_str() {
            "none" => format!("{name} needs no sign-in"),
            _ => format!(
                "{name} is already signed in{} (use --force to sign in again)",
                identity(account)
            ),
        });
        return Ok(0);
    }
    // Listened for before anybody is told to press it.
    let mut interrupts = (!arguments.request.paste)
        .then(|| signal(SignalKind::interrupt()).ok())
        .flatten();
    if let Some(code) = &started.device {
        if !announced(ctl, arguments, &started)? {
            return Err(Fault::Declined);
        }
        device::invite(ctl, &arguments.account, code, started.expires_at);
        let progress = outcome(ctl, arguments, &path, interrupts.as_mut()).await?;
        return finish(ctl, arguments, &progress).await;
    }
    let url = started.url.as_deref().ok_or_else(|| {
        Problem::new(Code::Internal).with("detail", "the daemon gave no sign-in page")
    })?;
    if !announced(ctl, arguments, &started)? {
        return Err(Fault::Declined);
    }
    let progress = if arguments.request.paste {
        paste::finish(ctl, &arguments.account, &started).await?
    } else {
        invite(ctl, arguments, &started, url);
        outcome(ctl, arguments, &path, interrupts.as_mut()).await?
    };
    finish(ctl, arguments, &progress).await
}

/// Says at which host the person will sign in, before any page opens; where the upstream names
/// another server than for the sign-in before, a person has to agree (protocol.md SE-12).
fn announced(ctl: &Ctl, arguments: &LoginArguments, started: &LoginStarted) -> Result<bool, Fault> {
    let Some(host) = &started.host else {
        return Ok(true);
    };
    let (account, screen) = (&arguments.account, &ctl.screen);
    screen.say(format!("You sign in to {account} at {host}"));
    if let Some(note) = &started.note {
        screen.say(format!("  Note: {note}"));
    }
    let Some(former) = &started.moved_from else {
        return Ok(true);
    };
    // An issuer is kept as its server wrote it.
    let former = former.replace(char::is_control, " ");
    screen.say(format!("  The sign-in before was issued by {former}."));
    let command = format!("doorward login {account} --force --yes");
    screen.confirm(&format!("Sign in at {host}?"), &command)
}

fn invite(ctl: &Ctl, arguments: &LoginArguments, started: &LoginStarted, url: &str) {
    let screen = &ctl.screen;
    let opened = if arguments.no_browser {
        Opened::No
    } else {
        browser::open(url, started.browser.as_deref())
    };
    // Without the address nobody could go on: it is printed even where little talk is wanted.
    if opened == Opened::Yes {
        screen.say(format!(
            "Opening your browser to sign in to {} …",
            arguments.account
        ));
        screen.say(format!("  If it did not open: {url}"));
    } else {
        eprintln_always(&format!(
            "Open this page to sign in to {}:\n  {url}",
            arguments.account
        ));
        let remote = std::env::var_os("SSH_CONNECTION").is_some();
        let port = url::Url::parse(url)
            .ok()
            .and_then(|url| url.port_or_known_default());
        if let (true, Some(port)) = (remote, port) {
            screen.hint(format!(
                "from another machine, first: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, or: \
                 doorward login {} --paste",
                arguments.account
            ));
        }
    }
    let left = started.expires_at.map_or(String::new(), |Moment(end)| {
        format!(", {} left", brief(end.since(screen.now()), 2))
    });
    screen.say(format!("Waiting {} Ctrl-C to stop{left}", screen.dash()));
}

fn eprintln_always(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Waits for the end of the sign-in, as long as the person at this terminal wants to.
async fn outcome(
    ctl: &Ctl,
    arguments: &LoginArguments,
    path: &str,
    interrupts: Option<&mut Signal>,
) -> Result<LoginProgress, Fault> {
    let own_wait = async {
        match arguments.request.window_s {
            // That of somebody else, whose sign-in was joined, may be longer. Where it is ours, the
            // daemon says best why nothing came of it.
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds) + GRACE).await,
            None => std::future::pending().await,
        }
    };
    let interrupted = async {
        match interrupts {
            Some(interrupts) => interrupts.recv().await,
            None => std::future::pending().await,
        }
    };
    let fault = tokio::select! {
        progress = ended(ctl, path) => return progress,
        () = own_wait => Problem::new(Code::LoginTimeout)
            .with("upstream", &arguments.account)
            .because("its window passed")
            .into(),
        Some(()) = interrupted => Fault::Said(INTERRUPTED),
    };
    let left: Result<LoginProgress, Fault> =
        ctl.client.call(Method::DELETE, path, None::<&()>).await;
    if matches!(fault, Fault::Said(_)) {
        let goes_on = left.is_ok_and(|left| left.state == LoginState::Pending);
        ctl.screen.say(if goes_on {
            "Stopped; somebody else still waits for this sign-in."
        } else {
            "Stopped; nobody was signed in."
        });
    }
    Err(fault)
}

async fn ended(ctl: &Ctl, path: &str) -> Result<LoginProgress, Fault> {
    let path = format!("{path}?wait_ms={}", LONG_POLL.as_millis());
    loop {
        let progress: LoginProgress = ctl.client.get(&path).await?;
        if progress.state != LoginState::Pending {
            return Ok(progress);
        }
    }
}

async fn finish(ctl: &Ctl, arguments: &LoginArguments, progress: &LoginProgress) -> Outcome {
    let screen = &ctl.screen;
    if let Some(trouble) = &progress.problem {
        let code = trouble.code().unwrap_or(Code::LoginFailed);
        let mut problem = Problem::new(code)
            .with("upstream", &arguments.account)
            .because(&trouble.why);
        if let Some(fix) = &trouble.fix {
            problem = problem.next_step(fix);
        }
        return Err(problem.into());
    }
    let Some(account) = &progress.account else {
        return Err(Problem::new(Code::LoginFailed)
            .with("upstream", &arguments.account)
            .with("detail", "it ended without a result")
            .into());
    };
    if screen.format().is_json() {
        screen.json(account);
    } else {
        let tick = screen.painted(screen.tick(), Color::Green);
        let name = account.reference();
        screen.out("");
        screen.out(format!("{tick} Signed in to {name}{}", identity(account)));
        if account.token.is_some_and(|token| token.refreshable) {
            screen.out("  access token refreshes by itself");
        }
        if let Some(words) = kept(ctl).await {
            screen.out(format!("  {words}"));
        }
        screen.out(format!("  local address: {}", account.local_url));
        let next = format!("next: doorward session mint --upstream {name}");
        screen.out(screen.spell(&next));
    }
    for warning in &progress.warnings {
        screen.warn(format!("{}: {}", warning.what, warning.why));
        if let Some(fix) = &warning.fix {
            screen.hint(fix);
        }
    }
    Ok(0)
}

/// Where the sign-in is, and what protects it; `None` where the daemon does not say.
async fn kept(ctl: &Ctl) -> Option<String> {
    let status: Status = ctl.client.get(api::path::STATUS).await.ok()?;
    let store = status.daemon.store.filter(|store| store.ok)?;
    Some(match (store.detail, store.kind.as_str()) {
        (Some(detail), _) => detail,
        (None, "file") => {
            "the key of the store is a file of yours in the state directory".to_owned()
        }
        (None, "memory") => "kept in memory only: it is gone when the daemon ends".to_owned(),
        (None, kind) => format!("the key of the store is in the keyring ({kind})"),
    })
}

fn identity(account: &Account) -> String {
    account
        .identity
        .as_ref()
        .map_or(String::new(), |identity| format!(" as {identity}"))
}

/// `logout`: one account, or with `account = None` every one that is signed in.
pub async fn logout(ctl: &Ctl, account: Option<&str>, request: Logout) -> Outcome {
    let upstreams: Upstreams = ctl.client.get(api::path::UPSTREAMS).await?;
    let held = |item: &&Account| item.token.is_some() || item.identity.is_some();
    let targets: Vec<String> = match account {
        Some(account) => vec![account.to_owned()],
        None => upstreams
            .items
            .iter()
            .filter(held)
            .map(Account::reference)
            .collect(),
    };
    if targets.is_empty() {
        ctl.screen.say("Nobody is signed in.");
        return Ok(0);
    }
    if !consent(ctl, &upstreams, &targets, account.is_none())? {
        return Err(Fault::Declined);
    }
    let mut answers = Vec::new();
    let mut failed = None;
    for target in &targets {
        let answer: Result<LoggedOut, Fault> =
            ctl.client.post(&api::path::logout(target), &request).await;
        match answer {
            Ok(answer) => {
                print(ctl, &answer);
                answers.push(answer);
            }
            Err(fault) if targets.len() == 1 => return Err(fault),
            Err(fault) => {
                fault.tell(&ctl.screen, None);
                failed = Some(fault.exit());
            }
        }
    }
    if ctl.screen.format().is_json() {
        match answers.as_slice() {
            [one] if account.is_some() => ctl.screen.json(one),
            items => ctl.screen.json(&serde_json::json!({
                "schema": "doorward/logged-out-all/v1", "items": items,
            })),
        }
    }
    Ok(match failed {
        None => 0,
        Some(exit) if answers.is_empty() => exit,
        Some(_) => 10,
    })
}

fn consent(ctl: &Ctl, known: &Upstreams, targets: &[String], all: bool) -> Result<bool, Fault> {
    let of = |item: &&Account| targets.contains(&item.reference()) || targets.contains(&item.name);
    let items: Vec<&Account> = known.items.iter().filter(of).collect();
    let names: Vec<String> = items
        .iter()
        .map(|item| match &item.identity {
            Some(identity) => format!("{} ({identity})", item.reference()),
            None => item.reference(),
        })
        .collect();
    // An account that is not known is for the daemon to name.
    if !names.is_empty() {
        let sessions: usize = items.iter().map(|item| item.sessions).sum();
        let mut text = format!("This forgets the sign-in of {}.", names.join(", "));
        if sessions > 0 {
            let plural = if sessions == 1 {
                "session uses"
            } else {
                "sessions use"
            };
            let told = format!(" {sessions} {plural} it and will be told to sign in until you do.");
            text.push_str(&told);
        }
        ctl.screen.say(text);
    }
    let command = match (all, targets) {
        (false, [one]) => format!("doorward logout {one} --yes"),
        _ => "doorward logout --all --yes".to_owned(),
    };
    ctl.screen.confirm("Continue?", &command)
}

fn print(ctl: &Ctl, answer: &LoggedOut) {
    let screen = &ctl.screen;
    if screen.format().is_json() {
        return;
    }
    let account = &answer.account;
    let tick = screen.tick();
    let detail = answer.detail.as_deref().unwrap_or_default();
    match answer.provider {
        ProviderRevocation::Revoked => {
            screen.out(format!(
                "{tick} Signed out of {account}; revoked at the provider"
            ));
        }
        ProviderRevocation::NotOffered => {
            screen.out(format!("{tick} Signed out of {account}"));
            screen.hint("the provider offers no revocation: end the access in its own settings");
        }
        ProviderRevocation::NotAsked | ProviderRevocation::NothingHeld => {
            screen.out(format!("{tick} Signed out of {account}"));
        }
        ProviderRevocation::Failed => {
            screen.out(format!("{tick} Signed out of {account}"));
            screen.warn(format!(
                "the provider did not revoke the tokens ({detail}): end the access in its own settings"
            ));
        }
    }
}
