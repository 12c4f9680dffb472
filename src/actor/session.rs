//! One actor per agent session: the only one that closes its cell. It sweeps lazily (a timer that
//! fires late frees memory late, and never admits a dead session: every request judges by the
//! clock itself), ends the session with its process, and makes a revocation durable before it is
//! confirmed.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

use crate::failpoint;
use crate::ledger::{Ledger, SessionCell};
use crate::model::record::{EndedBy, Ending, SessionRecord};
use crate::model::session::{Death, Liveness, Verdict};
use crate::model::time::Timestamp;
use crate::process;
use crate::store::StoreError;

use super::death::{Alive, DeathNotice};
use super::{Deps, GiveCredential, Regrant, Revoke};

/// The longest sleep between two looks: wall clocks jump, and timers do not know.
const LONGEST_SLEEP: Duration = Duration::from_mins(30);

/// The actor of one session.
pub struct Session {
    cell: Arc<SessionCell>,
    deps: Deps,
    notice: DeathNotice,
}

impl Session {
    /// The keeper of `cell`.
    pub(super) fn new(cell: Arc<SessionCell>, deps: Deps, notice: DeathNotice) -> Self {
        Self { cell, deps, notice }
    }

    /// Waits for the end of the process that the session is bound to.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        let Some(process) = self.cell.bound().cloned() else {
            return;
        };
        let end = async move {
            process::ended(&process).await;
            process.pid
        };
        ctx.spawn(end.into_actor(self).map(|pid, actor, ctx| {
            actor.cell.set_liveness(Liveness::Gone);
            ctx.notify(Revoke::process_ended(pid));
        }));
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        failpoint::here!("session.sweep");
        let now = self.deps.clock.now();
        let seen = self.cell.last_used();
        match self.cell.verdict(now) {
            Verdict::Live { until } => {
                // One millisecond past the last instant at which it lives.
                let sleep = until.since(now).saturating_add(Duration::from_millis(1));
                ctx.run_later(sleep.min(LONGEST_SLEEP), Self::sweep);
            }
            Verdict::Dead(death) => {
                // A request that slipped in since `seen` keeps the session.
                if self.cell.ending().is_none() && !self.cell.close(death, Some(seen)) {
                    ctx.run_later(Duration::from_millis(1), Self::sweep);
                    return;
                }
                self.end(death, now, ctx);
            }
        }
    }

    /// Writes the end of a session that time has closed. Nobody waits for it, and a crash before
    /// the write changes nothing: the judgement after a restart is the same.
    fn end(&mut self, death: Death, now: Timestamp, ctx: &mut Context<Self>) {
        let by = match death {
            Death::Idle => EndedBy::Idle,
            Death::Lapsed => EndedBy::Ttl,
            Death::Revoked => EndedBy::Person,
        };
        self.cell.set_ending(Ending {
            death,
            at: now,
            by,
            reason: None,
        });
        let record = self.cell.record();
        let store = self.deps.store.clone();
        let id = self.cell.id();
        let write = async move {
            match store.put_session(record).await {
                Ok(()) => info!(session = %id, ?death, "session ended"),
                Err(error) => warn!(session = %id, %error, "the end of a session is not saved"),
            }
        };
        ctx.spawn(
            write
                .into_actor(self)
                .map(|(), _, ctx: &mut Context<Self>| ctx.stop()),
        );
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.notice.withdraw();
    }

    fn started(&mut self, ctx: &mut Self::Context) {
        // The keeper of a session that has ended is there for a second revocation only.
        if self.cell.ending().is_none() {
            self.watch(ctx);
            self.sweep(ctx);
        }
    }
}

impl Handler<Alive> for Session {
    type Result = ();

    fn handle(&mut self, _: Alive, _: &mut Self::Context) {}
}

impl Handler<Revoke> for Session {
    type Result = ResponseActFuture<Self, Result<Ending, StoreError>>;

    fn handle(&mut self, revoke: Revoke, _: &mut Self::Context) -> Self::Result {
        failpoint::here!("session.revoke");
        let now = self.deps.clock.now();
        let ending = Ending {
            death: Death::Revoked,
            at: now,
            by: revoke.by,
            reason: revoke.reason,
        };
        // First the cell: from here on no request passes and open streams are being cut. Then
        // the disk, and only then the answer, so that no crash brings the session back.
        self.cell.set_ending(ending);
        self.cell.close(Death::Revoked, None);
        let ending = self.cell.ending().expect("set on the line before").clone();
        let record = self.cell.record();
        let store = self.deps.store.clone();
        let id = self.cell.id();
        failpoint::here!("session.closed");
        let write = async move {
            let kept = store.put_session(record).await;
            failpoint::here!("session.committed");
            kept
        };
        Box::pin(write.into_actor(self).map(move |saved, _, ctx| {
            saved.inspect_err(|error| {
                warn!(session = %id, %error, "the end of a session is not saved");
            })?;
            info!(session = %id, by = ?ending.by, "session revoked");
            ctx.stop();
            Ok(ending)
        }))
    }
}

impl Handler<Regrant> for Session {
    type Result = Written;

    fn handle(&mut self, Regrant(grant): Regrant, _: &mut Self::Context) -> Self::Result {
        let record = SessionRecord {
            grant: grant.clone(),
            ..self.cell.record()
        };
        self.write_first(record, move |cell, _| cell.set_grant(grant))
    }
}

impl Handler<GiveCredential> for Session {
    type Result = Written;

    fn handle(&mut self, given: GiveCredential, _: &mut Self::Context) -> Self::Result {
        let mut record = self.cell.record();
        record.later.push(given.0);
        let later = record.later.clone();
        self.write_first(record, |cell, ledger| {
            cell.set_later(later);
            ledger.insert(Arc::clone(cell));
        })
    }
}

/// Nothing else is handled until it is written: a revocation in between would be followed on the
/// disk by a session that lives.
type Written = AtomicResponse<Session, Result<(), StoreError>>;

impl Session {
    /// The disk first: nothing is admitted that a restart would refuse.
    fn write_first(
        &self,
        record: SessionRecord,
        then: impl FnOnce(&Arc<SessionCell>, &Ledger) + 'static,
    ) -> Written {
        let kept = record.ended.is_none() && self.deps.config.load().sessions.persist;
        let store = self.deps.store.clone();
        let write = async move {
            if kept {
                return store.put_session(record).await;
            }
            Ok(())
        };
        let done = write.into_actor(self).map(move |saved, actor, _| {
            if saved.is_ok() {
                then(&actor.cell, &actor.deps.ledger);
            }
            saved
        });
        AtomicResponse::new(Box::pin(done))
    }
}
