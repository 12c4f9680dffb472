//! Sessions: list, show, revoke.

use std::sync::Arc;

use actix_web::{HttpResponse, web};

use super::{Answer, Control, named, views};
use crate::actor::Deps;
use crate::api::{self, Moment};
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem};
use crate::model::record::EndedBy;
use crate::model::session::Verdict;
use crate::model::time::Timestamp;
use crate::web::proxy;

pub(super) fn all(control: &Control, ended: bool) -> Vec<api::Session> {
    let deps = control.directory.deps();
    let (config, now) = (deps.config.load(), deps.clock.now());
    let mut cells = deps.ledger.sessions();
    cells.retain(|cell| ended || matches!(cell.verdict(now), Verdict::Live { .. }));
    cells.sort_by_key(|cell| (cell.minted(), cell.id()));
    cells
        .iter()
        .map(|cell| views::session(cell, &config, now))
        .collect()
}

#[derive(serde::Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    all: bool,
}

pub(super) async fn list(
    control: web::Data<Control>,
    listing: web::Query<Listing>,
) -> HttpResponse {
    let now = control.directory.deps().clock.now();
    let items = all(&control, listing.all);
    HttpResponse::Ok().json(api::Sessions::new(Moment(now), items))
}

/// The one session that an id or an unambiguous beginning of one names.
pub(super) fn find(control: &Control, asked: &str) -> Result<Arc<SessionCell>, Problem> {
    let mut found: Vec<_> = control.directory.deps().ledger.sessions();
    let wanted = if asked.starts_with("s_") {
        asked.to_owned()
    } else {
        format!("s_{asked}")
    };
    found.retain(|cell| cell.id().to_string().starts_with(&wanted));
    match found.as_slice() {
        [] => Err(Problem::new(Code::SessionNotFound).with("id", asked)),
        [one] => Ok(Arc::clone(one)),
        several => {
            let ids: Vec<_> = several.iter().map(|cell| cell.id().to_string()).collect();
            Err(Problem::new(Code::AmbiguousId)
                .with("id", asked)
                .with("ids", ids.join(", ")))
        }
    }
}

pub(super) async fn show(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let cell = find(&control, &asked)?;
    let deps = control.directory.deps();
    Ok(detail(deps, &cell, deps.clock.now()))
}

/// Slides the windows of a living session; a dead one stays dead.
pub(super) async fn renew(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let cell = find(&control, &asked)?;
    let deps = control.directory.deps();
    let now = deps.clock.now();
    cell.touch(now)
        .map_err(|death| proxy::died(&cell, death, now))?;
    Ok(detail(deps, &cell, now))
}

fn detail(deps: &Deps, cell: &SessionCell, now: Timestamp) -> HttpResponse {
    let item = views::session(cell, &deps.config.load(), now);
    let kept_alive = views::kept_alive(cell, &deps.ledger);
    HttpResponse::Ok().json(api::SessionDetail::new(item, kept_alive))
}

pub(super) async fn revoke(control: web::Data<Control>, asked: web::Json<api::Revoke>) -> Answer {
    let asked = asked.into_inner();
    let deps = control.directory.deps();
    let (config, now) = (deps.config.load_full(), deps.clock.now());
    let mut failed = Vec::new();
    let mut chosen = Vec::new();
    if let Some(upstream) = &asked.filter.upstream {
        let known = |cell: &Arc<SessionCell>| views::session(cell, &config, now).reaches(upstream);
        if !deps.ledger.sessions().iter().any(known) {
            named(&control, upstream)?;
        }
    }
    for id in &asked.filter.ids {
        match find(&control, id) {
            Ok(cell) => chosen.push(cell),
            Err(problem) => failed.push(api::RevokeFailure {
                id: id.clone(),
                code: problem.code().as_str().to_owned(),
            }),
        }
    }
    for cell in deps.ledger.sessions() {
        if asked
            .filter
            .covers(&views::session(&cell, &config, now), now)
        {
            chosen.push(cell);
        }
    }
    chosen.sort_by_key(|cell| cell.id());
    chosen.dedup_by_key(|cell| cell.id());
    let (mut revoked, mut over) = (Vec::new(), Vec::new());
    for cell in chosen {
        let id = cell.id().to_string();
        // One whose time is up and whose end is not written down yet is revoked: a clock that is set
        // back must not bring it to life again.
        if let Some(ending) = cell.ending() {
            over.push(api::AlreadyOver {
                id,
                at: Moment(ending.at),
                by: ending.by,
            });
            continue;
        }
        let reason = asked.reason.as_deref();
        match control
            .directory
            .revoke(&cell, EndedBy::Person, reason)
            .await
        {
            Ok(_) => revoked.push(id),
            Err(_) => failed.push(api::RevokeFailure {
                id,
                code: Code::StoreFailed.as_str().to_owned(),
            }),
        }
    }
    let answer = api::Revoked::new(revoked, failed);
    Ok(HttpResponse::Ok().json(api::Revoked { over, ..answer }))
}
