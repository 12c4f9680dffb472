//! `session …`: credentials for agents that something else starts.

use super::arguments::{CtlCommand, MintArgs, Output, SessionCommand};
use super::attach;
use super::run::{Context, run_ctl, spelled};
use crate::api::Mint;
use crate::ctl::{self, MintArguments, MintForm, Outcome};
use crate::model::record::SessionOrigin;

pub(super) async fn run(context: &Context, command: SessionCommand) -> Outcome {
    let ctl = &context.ctl;
    match command {
        SessionCommand::Mint(asked) => mint(context, asked).await,
        SessionCommand::Headers(asked) => attach::headers(context, asked).await,
        SessionCommand::Env(asked) => attach::env(context, asked).await,
        SessionCommand::Renew(asked) => ctl::renew(ctl, &asked.id).await,
        SessionCommand::List(asked) => run_ctl(ctl, CtlCommand::Sessions(asked)).await,
        SessionCommand::Show(asked) => run_ctl(ctl, CtlCommand::Show(asked)).await,
        SessionCommand::Revoke(asked) => run_ctl(ctl, CtlCommand::Revoke(asked)).await,
    }
}

async fn mint(context: &Context, asked: MintArgs) -> Outcome {
    let form = match context.global.output {
        Some(Output::Env) => Some(MintForm::Env),
        Some(Output::Headers) => Some(MintForm::Headers),
        _ => None,
    };
    let wrong = asked.bounds.upstreams.first().cloned();
    let request = Mint {
        upstreams: asked.bounds.upstreams,
        label: asked.label,
        client: asked.client,
        ttl_s: asked.bounds.ttl.map(|ttl| ttl.as_secs()),
        idle_s: asked.idle.map(|idle| idle.as_secs()),
        bind_pid: asked.bind_pid,
        ..Mint::of(SessionOrigin::Mint)
    };
    let outcome = ctl::mint(&context.ctl, &MintArguments { request, form }).await;
    spelled(&context.ctl, outcome, wrong.as_deref()).await
}
