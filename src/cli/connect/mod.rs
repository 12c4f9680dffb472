//! `connect` and `disconnect`: shows what would change in a client's file, asks, remembers how to
//! undo it, and writes. What to change is decided in `connect`; here are the person, the files
//! and the daemon.

mod fixed;
mod one;
mod place;
mod show;
mod store;
mod taken;
mod target;
mod undo;

pub(super) use taken::{Holder, taken};
pub(super) use undo::disconnect;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::one::Connecting;
use super::arguments::ConnectArgs;
use super::run::Context;
use super::{local, start};
use crate::api::{Account, AccountState};
use crate::config;
use crate::connect::{Client, Server};
use crate::ctl::{Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::nearest::nearest;

/// The exit code where some of several targets failed.
const PARTIAL: u8 = 10;

/// `connect`
pub(super) async fn connect(context: &Context, asked: ConnectArgs) -> Outcome {
    if asked.list {
        return show::list(context, &store::load(context)?);
    }
    let servers = servers(context, &asked).await?;
    let named = asked.client.as_deref().unwrap_or_default();
    if named != "all" {
        let document = Connecting::new(context, &asked, known(named)?, &servers)?;
        let document = document.carry_out().await?;
        show::documents(context, document.into_iter().collect(), false);
        return Ok(0);
    }
    let clients = Client::ALL.into_iter();
    let clients: Vec<_> = clients.filter(|it| place::is_installed(*it)).collect();
    if clients.is_empty() {
        let problem = Problem::new(Code::ClientUnknown).with("name", "all");
        return Err(problem.because("none was found on this machine").into());
    }
    let mut tally = Tally::default();
    for client in clients {
        let outcome = match Connecting::new(context, &asked, client, &servers) {
            Ok(connecting) => connecting.carry_out().await,
            Err(fault) => Err(fault),
        };
        tally.note(context, outcome);
    }
    tally.finish(context)
}

/// What became of several targets.
#[derive(Default)]
struct Tally {
    documents: Vec<Value>,
    failed: Vec<u8>,
}

impl Tally {
    fn note(&mut self, context: &Context, outcome: Result<Option<Value>, Fault>) {
        match outcome {
            Ok(document) => self.documents.extend(document),
            Err(fault) => {
                fault.tell(&context.ctl.screen, None);
                self.failed.push(fault.exit());
            }
        }
    }

    fn finish(self, context: &Context) -> Outcome {
        let none = self.documents.is_empty();
        show::documents(context, self.documents, true);
        match self.failed.as_slice() {
            [] => Ok(0),
            [only] if none => Err(Fault::Said(*only)),
            [first, rest @ ..] if none && rest.iter().all(|it| it == first) => {
                Err(Fault::Said(*first))
            }
            _ => Err(Fault::Said(PARTIAL)),
        }
    }
}

/// The client of this name, or what was probably meant.
fn known(name: &str) -> Result<Client, Fault> {
    Client::of(name).ok_or_else(|| {
        let names = Client::ALL.map(|client| client.facts().name);
        let problem = Problem::new(Code::ClientUnknown)
            .with("name", name)
            .with("names", names.join(", "));
        match nearest(name, names) {
            Some(near) => problem.next_step(format!("doorward connect {near}")).into(),
            None => problem.into(),
        }
    })
}

/// What the client shall know, as a running daemon has it or else the configuration.
async fn servers(context: &Context, asked: &ConnectArgs) -> Result<Vec<Server>, Fault> {
    let loaded = config::load(&context.inputs());
    let loaded = loaded.map_err(|error| local::config_fault(context, &error))?;
    let status = match context.running().await? {
        Some(status) => status,
        None => start::stopped(context, &loaded.config),
    };
    let enabled = |account: &Account| account.state != AccountState::Disabled;
    let all = || status.upstreams.iter();
    let chosen: Vec<&Account> = if asked.upstreams.is_empty() {
        all().filter(|it| enabled(it)).collect()
    } else {
        let mut chosen = Vec::new();
        for name in &asked.upstreams {
            let found = all().find(|it| it.reference() == *name);
            let found = found.ok_or_else(|| local::unknown(&loaded.config, name))?;
            if !enabled(found) {
                let problem = Problem::new(Code::UpstreamDisabled);
                return Err(problem.with("upstream", name).into());
            }
            chosen.push(found);
        }
        chosen
    };
    if chosen.is_empty() {
        return Err(Problem::new(Code::NoUpstream).into());
    }
    let prefix = asked.prefix.as_deref().unwrap_or_default();
    let named = crate::run::servers(&chosen).into_iter().zip(&chosen);
    let servers = named.map(|(server, account)| Server {
        name: format!("{prefix}{}", server.name),
        account: account.reference(),
        url: server.url,
    });
    Ok(servers.collect())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
