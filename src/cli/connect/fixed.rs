//! The session whose credential `static` writes into a file.

use serde_json::Value;

use crate::api::{self, Mint, Minted, Revoke, RevokeFilter, Revoked, SessionDetail};
use crate::cli::local;
use crate::cli::run::Context;
use crate::cli::start::ensure_running;
use crate::config;
use crate::connect::{Client, Connection, Server};
use crate::ctl::Fault;
use crate::model::record::SessionOrigin;
use crate::model::secret::SessionToken;

/// A session that was just made.
pub(super) struct Fresh {
    pub(super) id: String,
    pub(super) credential: String,
}

/// The credential that is in the file already, where it is that of the session that was put
/// there, and that lives and reaches all of `servers`.
pub(super) async fn kept(
    context: &Context,
    client: Client,
    known: Option<&Connection>,
    text: Option<&str>,
    servers: &[Server],
) -> Option<String> {
    let id = known?.session.as_deref()?;
    let facts = client.facts();
    let text = text?.trim_start_matches('\u{feff}');
    let read = facts.format.read(text).ok()?;
    let entries = facts
        .path
        .iter()
        .try_fold(&read, |map, part| map.get(part))?;
    let credentials = entries.as_object()?.values().filter_map(credential);
    let found = credentials
        .into_iter()
        .find(|it| SessionToken::id_in(it).is_some_and(|found| found.to_string() == id))?;
    let path = api::path::session(id);
    let detail: SessionDetail = context.ctl.client.get(&path).await.ok()?;
    let session = detail.item;
    let reaches = servers
        .iter()
        .all(|server| session.reaches(&server.account));
    (!session.state.is_over() && reaches).then_some(found)
}

fn credential(entry: &Value) -> Option<String> {
    let fields = entry.get("headers").or_else(|| entry.get("http_headers"))?;
    let bearer = fields.get("Authorization")?.as_str()?;
    bearer.strip_prefix("Bearer ").map(str::to_owned)
}

/// Makes a session that belongs to a file.
pub(super) async fn mint(
    context: &Context,
    client: Client,
    servers: &[Server],
) -> Result<Fresh, Fault> {
    ensure_running(context).await?;
    let loaded = config::load(&context.inputs());
    let loaded = loaded.map_err(|error| local::config_fault(context, &error))?;
    // Nobody makes it anew when it is missed, so that a quiet week must not end it.
    let patience = loaded.config.sessions.policy.ttl;
    let name = client.facts().name;
    let request = Mint {
        upstreams: servers
            .iter()
            .map(|server| server.account.clone())
            .collect(),
        label: Some(format!("static · {name}")),
        client: Some(name.to_owned()),
        ttl_s: None,
        idle_s: Some(patience.as_secs()),
        bind_pid: None,
        bind_exe: None,
        parent: None,
        origin: SessionOrigin::Static,
        within: None,
        reuse: false,
    };
    let minted: Minted = context
        .ctl
        .client
        .post(api::path::SESSIONS, &request)
        .await?;
    Ok(Fresh {
        id: minted.session.id,
        credential: minted.credential,
    })
}

/// Ends a session that no file holds any more. Where the daemon does not run, the person is told.
pub(super) async fn revoke(context: &Context, id: &str, reason: &str) {
    let request = Revoke {
        filter: RevokeFilter {
            ids: vec![id.to_owned()],
            ..RevokeFilter::default()
        },
        reason: Some(reason.to_owned()),
    };
    let done: Result<Revoked, Fault> = context.ctl.client.post(api::path::REVOKE, &request).await;
    if let Err(fault) = done {
        let why = fault.to_string();
        let screen = &context.ctl.screen;
        screen.warn(format!(
            "session {id} is not revoked: {why}; doorward ctl revoke {id}"
        ));
    }
}
