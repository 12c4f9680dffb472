//! `[sessions]`: how long sessions live, and what they may reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::kinds::{COUNT, DURATION, Kind, LIMIT, LIST, YES};
use crate::config::raw::Value;
use crate::config::read::{Section, Wrong};
use crate::config::{Sessions, Upstream};
use crate::model::id::{AccountRef, UpstreamName};
use crate::model::session::{Grant, SessionPolicy};
use crate::model::time::brief;

pub(super) fn sessions(
    mut section: Section<'_>,
    upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
    environment_only: bool,
) -> Sessions {
    let require = section.read(
        "require",
        if environment_only { "false" } else { "true" },
        YES,
    );
    if !require {
        section.report.warnings.borrow_mut().push(
            "any program on this machine can use the upstreams: set \
             DOORWARD__SESSIONS__REQUIRE=true to ask for credentials"
                .to_owned(),
        );
    }
    let policy = SessionPolicy {
        ttl: section.read("ttl", "30d", DURATION),
        idle: section.read("idle", "24h", DURATION),
        max_age: section.read("max_age", "off", LIMIT),
    };
    if policy.idle > policy.ttl
        && let Some(origin) = section.written("idle")
    {
        let note = format!(
            "{} is longer than `ttl`, {}",
            brief(policy.idle, 2),
            brief(policy.ttl, 2)
        );
        let help =
            "an unused session ends at `ttl` whatever `idle` says; raise `ttl` or lower `idle`";
        let wrong = Wrong::new("must not be longer than `ttl`", note).help(help);
        section.wrong("idle", origin, wrong);
    }
    for (key, length) in [("ttl", policy.ttl), ("idle", policy.idle)] {
        if length.as_secs() == 0
            && let Some(origin) = section.written(key)
        {
            let wrong = Wrong::new("must be at least a second", "no session could live");
            section.wrong(key, origin, wrong);
        }
    }
    let sessions = Sessions {
        require,
        policy,
        persist: section.read("persist", "true", YES),
        max: section.read("max", "256", COUNT),
        default_grant: section.read(
            "default_grant",
            "all",
            Kind {
                shape: "text",
                parse: &|node| match &node.value {
                    Value::Text(all) if all == "all" => Ok(Grant::All),
                    Value::Text(_) if node.loose_text().is_none() => Err(Wrong::new(
                        "must be \"all\" or an array of upstreams",
                        "this is neither",
                    )),
                    _ => grant(&(LIST.parse)(node)?, upstreams),
                },
            },
        ),
        revoke_on_exit: section.read("revoke_on_exit", "true", YES),
        keep_ended: section.read("keep_ended", "7d", DURATION),
    };
    section.later("approve");
    section.finish();
    sessions
}

fn grant(
    names: &[String],
    upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
) -> Result<Grant, Wrong> {
    let mut accounts = Vec::new();
    for name in names {
        let unknown = || Wrong::new("must list upstreams", format!("there is no \"{name}\""));
        let (bare, account) = match name.split_once('@') {
            None => (name.as_str(), None),
            Some((bare, account)) => (bare, Some(account)),
        };
        let found = upstreams
            .iter()
            .find(|(upstream, _)| upstream.as_str() == bare);
        let (_, upstream) = found.ok_or_else(unknown)?;
        let account = match account {
            None => upstream.default_account.clone(),
            Some(account) => {
                let known = upstream
                    .accounts
                    .keys()
                    .find(|known| known.as_str() == account);
                known.ok_or_else(unknown)?.clone()
            }
        };
        accounts.push(AccountRef {
            upstream: upstream.name.clone(),
            account,
        });
    }
    Ok(Grant::Only(accounts))
}
