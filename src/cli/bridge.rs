//! `bridge`: where it finds the daemon.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use super::arguments::BridgeArgs;
use super::local;
use super::run::Context;
use super::start::ensure_running;
use super::{agent, project};
use crate::bridge::{self, Daemon, Options};
use crate::config;
use crate::ctl::{Client, Fault, Outcome};
use crate::model::catalogue::{Code, Problem};

struct Finder(Context);

impl Daemon for Finder {
    fn find(&self, may_start: bool) -> LocalBoxFuture<'_, Result<String, Fault>> {
        Box::pin(async move {
            let status = self.0.running().await?;
            if may_start && status.is_none() {
                // This is asked again and again: a mistake is an answer here, not yet talk.
                config::load(&self.0.inputs()).map_err(|error| error.problem())?;
                let (status, _) = ensure_running(&self.0).await?;
                return Ok(status.daemon.base_url);
            }
            let socket = self.0.ctl.client.socket().display();
            let away = || Fault::from(Problem::new(Code::NotRunning).with("socket", socket));
            status.map(|status| status.daemon.base_url).ok_or_else(away)
        })
    }

    fn control(&self) -> &Client {
        &self.0.ctl.client
    }

    fn tell(&self, fault: &Fault) {
        let file = [Code::ConfigInvalid, Code::RemoteBindRefused];
        if fault.code().is_some_and(|code| file.contains(&code))
            && let Err(error) = config::load(&self.0.inputs())
        {
            // All mistakes, each with its line.
            local::config_fault(&self.0, &error);
            return;
        }
        fault.tell(&self.0.ctl.screen, None);
    }
}

/// Serves on standard input and output.
pub(super) async fn bridge(context: &Context, asked: BridgeArgs) -> Outcome {
    let project = project::here(context)?;
    let outer = agent::outer();
    let options = Options {
        upstream: asked.upstream,
        label: asked
            .label
            .or_else(|| project.as_ref().and_then(|it| it.label.clone())),
        // What is written in an agent's configuration is not this person's word of now.
        within: project.map(|it| it.within(false)),
        parent: outer.as_deref().map(agent::parent).transpose()?,
        autostart: !asked.no_autostart,
        invocation: context.ctl.screen.invocation().clone(),
    };
    let mut own = context.again();
    own.ctl.screen = own.ctl.screen.in_words();
    let finder = Rc::new(Finder(own));
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    bridge::run(finder, options, input, tokio::io::stdout()).await
}
