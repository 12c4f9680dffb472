//! A new session: what it may reach, how long it lives, and the process it belongs to.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};

use super::sessions::find;
use super::{Answer, Control, Refused, named, views};
use crate::api;
use crate::clock::random_u64;
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem};
use crate::model::id::SessionId;
use crate::model::record::{BoundProcess, EndedBy, SessionRecord};
use crate::model::secret::SessionToken;
use crate::model::session::{Grant, Verdict};
use crate::model::time::Timestamp;
use crate::process;
use crate::store::StoreError;

pub(super) async fn mint(control: web::Data<Control>, asked: web::Json<api::Mint>) -> Answer {
    let asked = asked.into_inner();
    let mut bound = asked.bind_pid.map(process).transpose()?;
    if let (Some(bound), Some(exe)) = (&mut bound, asked.bind_exe) {
        bound.exe = Some(exe);
    }
    let deps = control.directory.deps();
    // One at a time: of two that replace the same session the second has to see the first, and the
    // last free place under `sessions.max` is for one of those who ask for it.
    let _turn = control.directory.turn_to_mint().await;
    let config = deps.config.load_full();
    let now = deps.clock.now();
    let live = |cell: &Arc<SessionCell>| matches!(cell.verdict(now), Verdict::Live { .. });
    let living = deps.ledger.sessions().into_iter().filter(live);
    let (older, others): (Vec<_>, Vec<_>) =
        living.partition(|cell| replaces(bound.as_ref(), asked.label.as_deref(), cell));
    if others.len() >= config.sessions.max {
        let max = config.sessions.max;
        return Err(Refused(Problem::new(Code::SessionLimit).with("max", max)));
    }
    let inside = asked.parent.map(|id| parent(&control, &id, now));
    let grant = granted(&control, &asked.upstreams, inside.transpose()?.as_deref())?;
    let mut policy = config.sessions.policy;
    if let Some(ttl) = asked.ttl_s {
        policy.ttl = Duration::from_secs(ttl);
    }
    if let Some(idle) = asked.idle_s {
        policy.idle = Duration::from_secs(idle);
    }
    let id = std::iter::repeat_with(|| SessionId::from_random(random_u64(&*deps.random)))
        .find(|id| deps.ledger.session_by_id(*id).is_none())
        .expect("the iterator is endless, and far fewer sessions than ids are kept");
    // The old credential dies before the new one is known to anybody: a crash in between leaves
    // the process with none, and never with two.
    for cell in older {
        let reason = format!("session {id} of the same process took its place");
        let ended = control
            .directory
            .revoke(&cell, EndedBy::Policy, Some(&reason));
        ended.await.map_err(not_kept)?;
    }
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    deps.random.fill(&mut *bytes);
    let token = SessionToken::from_random(&id.digits(), &bytes);
    let record = SessionRecord {
        id,
        digest: token.digest(),
        label: asked.label,
        client: asked.client,
        origin: asked.origin,
        grant,
        policy,
        minted: now,
        last_used: now,
        calls: 0,
        bound,
        ended: None,
    };
    if config.sessions.persist {
        let kept = deps.store.put_session(record.clone()).await;
        kept.map_err(not_kept)?;
    }
    let cell = SessionCell::new(record);
    deps.ledger.insert(Arc::clone(&cell));
    control.directory.open_session(&cell);
    tracing::info!(session = %id, origin = ?cell.origin(), "session minted");
    let session = views::session(&cell, &config, now);
    let url = deps.origin.to_string();
    Ok(HttpResponse::Ok().json(api::Minted::new(session, token.expose().to_owned(), url)))
}

/// The session that another one is minted inside of, which has to live.
fn parent(control: &Control, id: &str, now: Timestamp) -> Result<Arc<SessionCell>, Problem> {
    let cell = find(control, id)?;
    match cell.verdict(now) {
        Verdict::Live { .. } => Ok(cell),
        Verdict::Dead(_) => Err(Problem::new(Code::SessionNotFound)
            .with("id", id)
            .because("it has ended, and nothing can be minted inside of it")),
    }
}

/// What a session may reach: what was asked for, but inside of another session no more than that
/// one may.
fn granted(
    control: &Control,
    asked: &[String],
    parent: Option<&SessionCell>,
) -> Result<Grant, Refused> {
    if asked.is_empty() {
        let config = control.directory.deps().config.load();
        return Ok(parent.map_or_else(
            || config.sessions.default_grant.clone(),
            |parent| (*parent.grant()).clone(),
        ));
    }
    let mut accounts = Vec::new();
    for name in asked {
        let account = named(control, name)?.1;
        if let Some(parent) = parent.filter(|parent| !parent.may_reach(&account)) {
            return Err(Refused(
                Problem::new(Code::NotGranted)
                    .with("id", parent.id())
                    .with("upstream", &account)
                    .because("a session minted inside of it may reach no more than it may")
                    .next_step("doorward session mint, outside of it"),
            ));
        }
        accounts.push(account);
    }
    Ok(Grant::Only(accounts))
}

fn not_kept(error: StoreError) -> Problem {
    Problem::new(Code::StoreFailed).with("detail", error)
}

/// Whether a new session takes the place of an older one: a process has one session a label.
fn replaces(bound: Option<&BoundProcess>, label: Option<&str>, older: &SessionCell) -> bool {
    let same = |process: &BoundProcess| older.bound().is_some_and(|other| other.is(process));
    bound.is_some_and(same) && older.label() == label
}

/// The process that a session shall belong to.
fn process(pid: u32) -> Result<BoundProcess, Problem> {
    process::find(pid).map_err(|error| {
        Problem::new(Code::ProcessUnusable)
            .with("pid", pid)
            .because(error)
    })
}
