//! A new session: what it may reach, how long it lives, and the process it belongs to.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};

use super::granting::{self, Granted};
use super::sessions::find;
use super::{Answer, Control, shown, views};
use crate::api;
use crate::clock::random_u64;
use crate::failpoint;
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem};
use crate::model::id::SessionId;
use crate::model::record::{BoundProcess, EndedBy, SessionRecord};
use crate::model::secret::SessionToken;
use crate::model::session::{Death, SessionPolicy, Verdict};
use crate::model::time::Timestamp;
use crate::process;
use crate::store::StoreError;
use crate::web::proxy::died;

pub(super) async fn mint(control: web::Data<Control>, asked: web::Json<api::Mint>) -> Answer {
    let asked = asked.into_inner();
    let mut bound = asked.bind_pid.map(process).transpose()?;
    if let (Some(bound), Some(exe)) = (&mut bound, asked.bind_exe.clone()) {
        bound.exe = Some(exe);
    }
    let deps = control.directory.deps();
    // Of two that replace the same session the second has to see the first. What belongs to no
    // process replaces nothing, and is written together with others.
    let minting = control.directory.minting();
    let _turn = match bound {
        Some(_) => minting.alone().await,
        None => minting.beside_others().await,
    };
    let config = deps.config.load_full();
    let now = deps.clock.now();
    let inside = asked.parent.as_deref().map(|id| parent(&control, id, now));
    let Granted { grant, lacking } = granting::grant(&control, &asked, inside.transpose()?)?;
    let policy = policy(config.sessions.policy, &asked);
    let record = |id, token: &SessionToken| SessionRecord {
        id,
        digest: token.digest(),
        later: Vec::new(),
        label: asked.label.as_deref().map(bounded),
        client: asked.client.clone(),
        origin: asked.origin,
        grant: grant.clone(),
        policy,
        minted: now,
        last_used: now,
        calls: 0,
        bound: bound.clone(),
        ended: None,
    };
    let answer = |cell: &SessionCell, token: &SessionToken| {
        let session = views::session(cell, &config, now);
        let url = deps.origin.to_string();
        let minted = api::Minted::new(session, token.expose().to_owned(), url);
        Ok(HttpResponse::Ok().json(api::Minted { lacking, ..minted }))
    };
    let ids = std::iter::repeat_with(|| SessionId::from_random(random_u64(&*deps.random)));
    let mut place = minting
        .begin(ids, |id| deps.ledger.session_by_id(id).is_none())
        .expect("the iterator is endless, and far fewer sessions than ids are kept");
    let id = place.id();
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    deps.random.fill(&mut *bytes);
    let token = SessionToken::from_random(&id.digits(), &bytes);
    let record = record(id, &token);
    let reusable = asked.reuse && record.bound.is_some();
    if reusable && let Some((cell, token)) = control.held.0.again(&deps.ledger, &record, now) {
        return answer(&cell, &token);
    }
    if reusable && let Some(cell) = shown::revoked(&deps.ledger, &record) {
        return Err(died(&cell, Death::Revoked, now).into());
    }
    if reusable && let Some(cell) = shown::unseen(&deps.ledger, &record, now) {
        let token = SessionToken::from_random(&cell.id().digits(), &bytes);
        let given = control.directory.give_credential(&cell, token.digest());
        given.await.map_err(not_kept)?;
        tracing::info!(session = %cell.id(), "session given another credential");
        control.held.0.keep(cell.id(), token.clone());
        return answer(&cell, &token);
    }
    let live = |cell: &Arc<SessionCell>| matches!(cell.verdict(now), Verdict::Live { .. });
    let mut older = Vec::new();
    let living = |room| {
        // Whoever replaces nothing need not look at each while all that are known have room.
        let known = deps.ledger.len();
        if record.bound.is_none() && known < room {
            return known;
        }
        let living = deps.ledger.sessions().into_iter().filter(live);
        let (replaced, others): (Vec<_>, Vec<_>) =
            living.partition(|cell| !asked.reuse && replaces(&record, cell));
        older = replaced;
        others.len()
    };
    // The last free place is for one of those who ask for it.
    let max = config.sessions.max;
    if !place.take(living, max) {
        return Err(Problem::new(Code::SessionLimit).with("max", max).into());
    }
    // The old credential dies before the new one is known to anybody: a crash in between leaves
    // the process with none, and never with two.
    for cell in older {
        let reason = format!("session {id} of the same process took its place");
        let ended = control
            .directory
            .revoke(&cell, EndedBy::Policy, Some(&reason));
        ended.await.map_err(not_kept)?;
    }
    failpoint::here!("mint.write");
    if config.sessions.persist {
        let kept = deps.store.put_session(record.clone()).await;
        kept.map_err(not_kept)?;
    }
    failpoint::here!("mint.committed");
    let cell = SessionCell::new(record);
    place.fill(|| deps.ledger.insert(Arc::clone(&cell)));
    control.directory.open_session(&cell);
    tracing::info!(session = %id, origin = ?cell.origin(), "session minted");
    failpoint::here!("mint.opened");
    if reusable {
        control.held.0.keep(id, token.clone());
    }
    answer(&cell, &token)
}

/// `label` as far as a label goes: those that commands make of directories may be longer.
fn bounded(label: &str) -> String {
    label.chars().take(api::LONGEST_LABEL).collect()
}

/// The configured windows with those asked for; a project makes the first of them shorter only.
fn policy(mut policy: SessionPolicy, asked: &api::Mint) -> SessionPolicy {
    if let Some(ttl) = asked.ttl_s {
        policy.ttl = Duration::from_secs(ttl);
    }
    if let Some(idle) = asked.idle_s {
        policy.idle = Duration::from_secs(idle);
    }
    if let Some(longest) = asked.within.as_ref().and_then(|within| within.ttl_s) {
        policy.ttl = policy.ttl.min(Duration::from_secs(longest));
    }
    policy
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

fn not_kept(error: StoreError) -> Problem {
    Problem::new(Code::StoreFailed).with("detail", error)
}

/// Whether a new session takes the place of an older one: a process has one session a label.
fn replaces(new: &SessionRecord, older: &SessionCell) -> bool {
    let same = |process: &BoundProcess| older.bound().is_some_and(|other| other.is(process));
    new.bound.as_ref().is_some_and(same) && older.label() == new.label.as_deref()
}

/// The process that a session shall belong to.
fn process(pid: u32) -> Result<BoundProcess, Problem> {
    process::find(pid).map_err(|error| {
        Problem::new(Code::ProcessUnusable)
            .with("pid", pid)
            .because(error)
    })
}
