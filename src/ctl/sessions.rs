//! Sessions: mint, list, show, revoke.

use super::{Ctl, Fault, Format, Outcome, Screen, column};
use crate::api::{
    self, Mint, Minted, Revoke, RevokeFilter, Revoked, Session, SessionDetail, SessionState,
    Sessions,
};
use crate::model::record::EndedBy;
use crate::model::time::brief;

/// What `session mint` was asked.
#[derive(Clone, Debug)]
pub struct MintArguments {
    /// The request.
    pub request: Mint,
    /// The form of the credential, where it is not the usual one.
    pub form: Option<MintForm>,
}

/// Other forms of a credential than the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintForm {
    /// Lines for a shell.
    Env,
    /// A JSON object of header fields.
    Headers,
}

/// `session mint`: the only command that prints a credential, and the only time it is shown.
pub async fn mint(ctl: &Ctl, arguments: &MintArguments) -> Outcome {
    let minted: Minted = ctl
        .client
        .post(api::path::SESSIONS, &arguments.request)
        .await?;
    let screen = &ctl.screen;
    match (arguments.form, screen.format()) {
        (Some(MintForm::Env), _) => {
            screen.out(format!("export DOORWARD_URL={}", minted.url));
            screen.out(format!("export DOORWARD_SESSION={}", minted.credential));
        }
        (Some(MintForm::Headers), _) => {
            let bearer = format!("Bearer {}", minted.credential);
            screen.out(serde_json::json!({ "Authorization": bearer }));
        }
        (None, Format::Json | Format::Jsonl) => screen.json(&minted),
        (None, _) => screen.out(&minted.credential),
    }
    let session = &minted.session;
    let facts = [
        format!("session {}", session.id),
        session.grant_words(),
        life(session),
        format!("revoke: doorward ctl revoke {}", session.id),
    ];
    screen.say(facts.join(screen.dot()));
    Ok(0)
}

/// How long a session lives that was made just now.
fn life(session: &Session) -> String {
    let end = session.next_end();
    let length = brief(end.0.since(session.created_at.0), 2);
    if session.max_expires_at == Some(end) {
        format!("ends in {length}")
    } else if session.bound.is_some() {
        format!("ends with its process, or {length} after its last use")
    } else {
        format!("ends {length} after its last use")
    }
}

/// What `ctl sessions` was asked.
#[derive(Clone, Debug, Default)]
pub struct ListArguments {
    /// Those of this agent program.
    pub client: Option<String>,
    /// Those that may reach this upstream.
    pub upstream: Option<String>,
    /// Those in this state.
    pub state: Option<SessionState>,
    /// The ended ones too.
    pub all: bool,
}

/// `ctl sessions`
pub async fn list(ctl: &Ctl, arguments: &ListArguments) -> Outcome {
    let over = arguments.state.is_some_and(SessionState::is_over);
    let mut sessions = fetch(ctl, arguments.all || over).await?;
    must_exist(ctl, arguments.upstream.as_deref(), &sessions.items).await?;
    sessions.items.retain(|session| {
        let client = arguments.client.as_deref();
        let upstream = arguments.upstream.as_deref();
        client.is_none_or(|wanted| session.client_name() == Some(wanted))
            && upstream.is_none_or(|wanted| session.reaches(wanted))
            && arguments.state.is_none_or(|wanted| session.state == wanted)
    });
    match ctl.screen.format() {
        Format::Json => ctl.screen.json(&sessions),
        Format::Jsonl => ctl.screen.jsonl(&sessions.items),
        Format::Name => {
            for session in &sessions.items {
                ctl.screen.out(&session.id);
            }
        }
        Format::Table | Format::Wide if sessions.items.is_empty() => {
            ctl.screen.say("There are no sessions.");
            ctl.screen.hint("doorward session mint");
        }
        Format::Table | Format::Wide => print_table(ctl, &sessions.items),
    }
    Ok(0)
}

/// Refuses an upstream that there is not: a name that is spelled wrong must not look like one that no
/// session reaches. One that was removed may still be in grants.
async fn must_exist(ctl: &Ctl, asked: Option<&str>, sessions: &[Session]) -> Result<(), Fault> {
    match asked {
        Some(name) if !sessions.iter().any(|session| session.reaches(name)) => {
            let path = api::path::upstream(name);
            ctl.client.get::<api::UpstreamDetail>(&path).await.map(drop)
        }
        _ => Ok(()),
    }
}

async fn fetch(ctl: &Ctl, all: bool) -> Result<Sessions, Fault> {
    let query = if all { "?all=true" } else { "" };
    let path = format!("{}{query}", api::path::SESSIONS);
    ctl.client.get(&path).await
}

fn print_table(ctl: &Ctl, sessions: &[Session]) {
    let screen = &ctl.screen;
    let columns = [
        column("SESSION"),
        column("CLIENT"),
        column("LABEL").flexible(),
        column("GRANT"),
        column("STATE"),
        column("CALLS").right(),
        column("LAST USED"),
        column("EXPIRES"),
        column("BOUND"),
    ];
    let dash = || screen.dash().to_owned();
    let row = |session: &Session| {
        let next = session.next_end();
        vec![
            session.id.clone(),
            session.client_name().map_or_else(dash, str::to_owned),
            session.label.clone().unwrap_or_else(dash),
            session.grant_words(),
            session.state.as_str().to_owned(),
            session.counters.calls.to_string(),
            screen.ago(session.last_used_at),
            if session.state.is_over() {
                dash()
            } else {
                screen.until(Some(next))
            },
            session
                .bound
                .as_ref()
                .map_or_else(dash, |bound| format!("pid {}", bound.pid)),
        ]
    };
    screen.table(&columns, sessions.iter().map(row).collect());
}

/// `ctl show ID`
pub async fn show(ctl: &Ctl, id: &str) -> Outcome {
    let path = api::path::session(&id_in(id));
    let detail: SessionDetail = ctl.client.get(&path).await?;
    let screen = &ctl.screen;
    match screen.format() {
        Format::Json => screen.json(&detail),
        Format::Jsonl => screen.jsonl(std::slice::from_ref(&detail.item)),
        Format::Name => screen.out(&detail.item.id),
        Format::Table | Format::Wide => print_detail(ctl, &detail),
    }
    Ok(0)
}

fn print_detail(ctl: &Ctl, detail: &SessionDetail) {
    let screen = &ctl.screen;
    let session = &detail.item;
    let counters = session.counters;
    let dash = || screen.dash().to_owned();
    let line = |name: &str, value: String| screen.out(format!("{name:<12}{value}"));
    line("session", session.id.clone());
    line("state", session.state.as_str().to_owned());
    line("label", session.label.clone().unwrap_or_else(dash));
    line(
        "client",
        session.client_name().map_or_else(dash, str::to_owned),
    );
    line("grant", session.grant_words());
    line("created", screen.ago(Some(session.created_at)));
    line("last used", screen.ago(session.last_used_at));
    if !session.state.is_over() {
        line(
            "ends",
            format!(
                "{} unless it is used",
                screen.until(Some(session.next_end()))
            ),
        );
    }
    if let Some(bound) = &session.bound {
        let exe = bound.exe.as_deref().unwrap_or("?");
        let alive = if bound.alive { "" } else { ", ended" };
        line("bound", format!("pid {} ({exe}{alive})", bound.pid));
    }
    line(
        "calls",
        format!(
            "{} ({} failed), {} streams open, {} bytes in, {} bytes out",
            counters.calls,
            counters.errors,
            counters.streams_open,
            counters.bytes_in,
            counters.bytes_out
        ),
    );
    if let Some(words) = kept_alive(&detail.kept_alive, screen) {
        line("kept alive", words);
    }
    line("fingerprint", session.fingerprint.clone());
    for later in &session.later_fingerprints {
        line("and", later.clone());
    }
    if let Some(at) = session.ended_at {
        let why = match (session.ended_by, session.ended_reason.as_deref()) {
            (Some(EndedBy::Person), Some(reason)) => format!("by a person: {reason}"),
            (_, Some(reason)) => reason.to_owned(),
            (by, None) => by.map_or("", ended_words).to_owned(),
        };
        line("ended", format!("{}, {why}", screen.ago(Some(at))));
    }
    if !session.state.is_over() {
        screen.hint(format!("doorward ctl revoke {}", session.id));
    }
}

/// What its agent was spared; `None` where that is nothing.
fn kept_alive(kept: &api::KeptAlive, screen: &Screen) -> Option<String> {
    let times = |what: &str, times: api::Times| {
        let ago = || screen.ago(times.last_at);
        (times.count > 0).then(|| format!("{what} {}x, last {}", times.count, ago()))
    };
    let waiting: Vec<_> = kept
        .waiting
        .iter()
        .map(api::GrantedAccount::reference)
        .collect();
    let parts = [
        (!waiting.is_empty()).then(|| format!("waiting for {}", waiting.join(", "))),
        times("stubbed", kept.stubbed),
        times("repaired", kept.repaired),
        times("resumed", kept.resumed),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `session renew ID`
pub async fn renew(ctl: &Ctl, id: &str) -> Outcome {
    let path = api::path::renew(&id_in(id));
    let detail: SessionDetail = ctl.client.post(&path, &()).await?;
    let screen = &ctl.screen;
    if screen.format().is_json() {
        screen.json(&detail);
        return Ok(0);
    }
    let session = &detail.item;
    let end = screen.until(Some(session.next_end()));
    screen.out(format!(
        "{} renewed {} · ends {end} unless it is used",
        screen.tick(),
        session.id
    ));
    Ok(0)
}

fn ended_words(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Person => "by a person",
        EndedBy::ProcessExit => "its process ended",
        EndedBy::Ttl => "its window ran out",
        EndedBy::Idle => "it was quiet for too long",
        EndedBy::MaxAge => "it was too old",
        EndedBy::UpstreamRemoved => "its upstream was removed",
        EndedBy::Policy => "by a rule",
    }
}

/// What `ctl revoke` was asked.
#[derive(Clone, Debug, Default)]
pub struct RevokeArguments {
    /// Which sessions.
    pub filter: RevokeFilter,
    /// Why.
    pub reason: Option<String>,
}

/// The id in what a person gave for one. A whole credential may be all that they have: its id is
/// its second part, and the rest must not appear in any message.
fn id_in(text: &str) -> String {
    let parts = text
        .strip_prefix("dw_")
        .and_then(|rest| rest.split_once('_'));
    parts.map_or_else(|| text.to_owned(), |(id, _)| format!("s_{id}"))
}

/// `ctl revoke`: ids need no consent, conditions do, and then exactly the sessions that were
/// shown are ended.
pub async fn revoke(ctl: &Ctl, arguments: &RevokeArguments) -> Outcome {
    let mut filter = arguments.filter.clone();
    filter.ids = filter.ids.iter().map(|text| id_in(text)).collect();
    let mut request = Revoke {
        filter,
        reason: arguments.reason.clone(),
    };
    if !request.filter.is_ids_only() {
        let now = ctl.screen.now();
        let mut sessions = fetch(ctl, false).await?.items;
        must_exist(ctl, request.filter.upstream.as_deref(), &sessions).await?;
        sessions.retain(|session| {
            let named = |id: &String| session.id.starts_with(id.as_str());
            request.filter.covers(session, now) || request.filter.ids.iter().any(named)
        });
        if sessions.is_empty() {
            ctl.screen.say("No session matches.");
            if ctl.screen.format().is_json() {
                ctl.screen.json(&Revoked::new(Vec::new(), Vec::new()));
            }
            return Ok(0);
        }
        if !consent(ctl, &sessions)? {
            return Err(Fault::Declined);
        }
        if !request.filter.all {
            let ids = sessions.into_iter().map(|session| session.id).collect();
            request.filter = RevokeFilter {
                ids,
                ..RevokeFilter::default()
            };
        }
    }
    let revoked: Revoked = ctl.client.post(api::path::REVOKE, &request).await?;
    let screen = &ctl.screen;
    if screen.format().is_json() {
        screen.json(&revoked);
    } else {
        match revoked.revoked.as_slice() {
            [] => {}
            [one] => screen.out(format!("{} revoked {one}", screen.tick())),
            many => screen.out(format!("{} revoked {}", screen.tick(), many.len())),
        }
        for over in &revoked.over {
            let ended = match over.by {
                EndedBy::Person => "was revoked",
                _ => "had ended",
            };
            let (when, by) = (screen.ago(Some(over.at)), ended_words(over.by));
            let told = format!("{} {ended} {when} ({by}); nothing was done", over.id);
            screen.say(told);
        }
        for failure in &revoked.failed {
            screen.warn(format!("{} was not revoked ({})", failure.id, failure.code));
            screen.hint("doorward ctl sessions --all shows the ids");
        }
    }
    Ok(match (revoked.revoked.len(), revoked.failed.first()) {
        (_, None) => 0,
        (0, Some(failure)) => failure
            .code
            .parse()
            .map_or(1, |code: crate::model::catalogue::Code| code.entry().exit),
        _ => 10,
    })
}

fn consent(ctl: &Ctl, sessions: &[Session]) -> Result<bool, Fault> {
    let dash = ctl.screen.dash();
    let row = |session: &Session| {
        let client = session.client_name().unwrap_or(dash).to_owned();
        let label = session.label.as_deref().unwrap_or(dash).to_owned();
        vec![session.id.clone(), client, label]
    };
    let columns = [column("SESSION"), column("CLIENT"), column("LABEL")];
    let rows = sessions.iter().map(row).collect();
    ctl.screen.say(ctl.screen.lines(&columns, rows).join("\n"));
    let question = match sessions.len() {
        1 => "Revoke this session?".to_owned(),
        n => format!("Revoke these {n} sessions?"),
    };
    ctl.screen.confirm(&question, "the same command with --yes")
}
