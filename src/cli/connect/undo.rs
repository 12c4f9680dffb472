//! Takes what is ours out of clients' files.

use serde_json::Value;

use super::store::{self, Writing};
use super::target::Target;
use super::{Tally, absolute, fixed, known, show};
use crate::cli::arguments::DisconnectArgs;
use crate::cli::run::Context;
use crate::connect::{self, Connection};
use crate::ctl::{Fault, Outcome};

/// `disconnect`
pub(in crate::cli) async fn disconnect(context: &Context, asked: DisconnectArgs) -> Outcome {
    let all = asked.client == "all";
    if !all {
        known(&asked.client)?;
    }
    let file = asked.file.as_deref().map(absolute);
    let meant = |it: &&Connection| {
        (all || it.client == asked.client) && file.as_ref().is_none_or(|file| it.file == *file)
    };
    let connections = store::load(context)?;
    let meant: Vec<_> = connections.items.iter().filter(meant).cloned().collect();
    if meant.is_empty() {
        let what = match asked.client.as_str() {
            "all" => "no client is connected".to_owned(),
            name => format!("{name} is not connected"),
        };
        let screen = &context.ctl.screen;
        screen.say(format!("{what} by doorward here: nothing to undo"));
        show::documents(context, Vec::new(), true);
        return Ok(0);
    }
    let mut tally = Tally::default();
    for connection in meant {
        let outcome = undo(context, &asked, connection).await;
        tally.note(context, outcome);
    }
    tally.finish(context)
}

/// Takes what is ours out of one file.
async fn undo(
    context: &Context,
    asked: &DisconnectArgs,
    connection: Connection,
) -> Result<Option<Value>, Fault> {
    let client = known(&connection.client)?;
    let file = connection.file.clone();
    let again = asked.again();
    let target = Target {
        client,
        file: &file,
        verb: "disconnect",
        again: &again,
    };
    let before = store::load(context)?;
    let draft = target.open(asked.follow)?;
    let plan = connect::disconnect(draft.text(), client.facts().format, &connection.ours)
        .map_err(|why| target.refused(why))?;
    let sight = show::Sight {
        target,
        scope: None,
        mode: connection.mode,
    };
    let screen = &context.ctl.screen;
    if plan.changes.iter().any(|it| it.operation.changes()) {
        sight.preview(context, draft.text(), &plan);
        if asked.dry_run {
            return Ok(Some(sight.document(&plan, false)));
        }
        let command = format!("{again} --yes");
        if !screen.confirm("Take it out?", &command)? {
            return Err(Fault::Declined);
        }
    } else {
        sight.nothing(context, &plan);
        if asked.dry_run {
            return Ok(Some(sight.document(&plan, false)));
        }
    }
    let document = sight.document(&plan, true);
    let left = Connection {
        session: None,
        ours: plan.ours,
        ..connection.clone()
    };
    let writing = Writing {
        target,
        draft,
        text: plan.text.as_deref(),
        private: false,
    };
    writing.take_out(context, &before, left)?;
    if let Some(session) = &connection.session {
        fixed::revoke(context, session, "its client was disconnected").await;
    }
    sight.taken_out(context);
    Ok(Some(document))
}
