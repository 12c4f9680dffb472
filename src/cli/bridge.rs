//! `bridge`: where it finds the daemon.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use super::arguments::BridgeArgs;
use super::run::Context;
use super::start::ensure_running;
use super::{agent, project};
use crate::bridge::{self, Daemon, Options};
use crate::ctl::{Client, Fault, Outcome};
use crate::model::catalogue::{Code, Problem};

struct Finder(Context);

impl Daemon for Finder {
    fn find(&self, may_start: bool) -> LocalBoxFuture<'_, Result<String, Fault>> {
        Box::pin(async move {
            if may_start {
                let (status, _) = ensure_running(&self.0).await?;
                return Ok(status.daemon.base_url);
            }
            let status = self.0.running().await?;
            let socket = self.0.ctl.client.socket().display();
            let away = || Fault::from(Problem::new(Code::NotRunning).with("socket", socket));
            status.map(|status| status.daemon.base_url).ok_or_else(away)
        })
    }

    fn control(&self) -> &Client {
        &self.0.ctl.client
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
    };
    let finder = Rc::new(Finder(context.again()));
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    bridge::run(finder, options, input, tokio::io::stdout()).await
}
