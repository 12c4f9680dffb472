//! What is remembered of connections, and in which order it and a client's file are written.

use super::target::Target;
use crate::cli::run::Context;
use crate::connect::{Connection, Connections, Draft, FileError};
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};

/// What is remembered.
pub(super) fn load(context: &Context) -> Result<Connections, Fault> {
    Connections::load(&context.paths.connections).map_err(|error| unusable(context, &error))
}

fn unusable(context: &Context, error: &std::io::Error) -> Fault {
    let file = context.paths.connections.display();
    let next = format!(
        "make {file} readable, or move it away: entries of before are then yours to take out"
    );
    Problem::new(Code::StoreFailed)
        .with("detail", format!("{file}: {error}"))
        .next_step(next)
        .into()
}

/// A client's file with what is to become of it.
pub(super) struct Writing<'a> {
    pub(super) target: Target<'a>,
    pub(super) draft: Draft,
    /// The new text; nothing where there shall be no file.
    pub(super) text: Option<&'a str>,
    /// Whether nobody else may read it from now on.
    pub(super) private: bool,
}

impl Writing<'_> {
    /// Remembers first and writes then: what was remembered and not written is noticed when it is
    /// undone, what was written and not remembered could not be. `before` is what was remembered
    /// when the person was asked.
    pub(super) fn put_in(
        self,
        context: &Context,
        before: &Connections,
        connection: Connection,
    ) -> Result<(), Fault> {
        let records = &context.paths.connections;
        let (_lock, now) = alone(context, self.target, before)?;
        let mut next = now.clone();
        next.set(connection);
        next.save(records)
            .map_err(|error| unusable(context, &error))?;
        let target = self.target;
        let written = self.draft.write(self.text, self.private);
        written.map_err(|error| {
            // The file is as it was: the old record is right. The new one would do no harm.
            let _ = now.save(records);
            target.failed(error)
        })
    }

    /// Writes first and forgets then.
    pub(super) fn take_out(
        self,
        context: &Context,
        before: &Connections,
        left: Connection,
    ) -> Result<(), Fault> {
        let (_lock, mut now) = alone(context, self.target, before)?;
        if self.draft.text() != self.text {
            let target = self.target;
            let written = self.draft.write(self.text, self.private);
            written.map_err(|error| target.failed(error))?;
        }
        now.set(left);
        now.save(&context.paths.connections)
            .map_err(|error| unusable(context, &error))
    }
}

/// The lock of the records, and them as they are: of this file still what they were.
fn alone(
    context: &Context,
    target: Target<'_>,
    before: &Connections,
) -> Result<(std::fs::File, Connections), Fault> {
    let prepared = context.paths.prepare();
    prepared.map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    let lock =
        Connections::lock(&context.paths.connections).map_err(|error| unusable(context, &error))?;
    let now = load(context)?;
    let name = target.client.facts().name;
    if now.find(name, target.file) != before.find(name, target.file) {
        return Err(target.failed(FileError::Changed));
    }
    Ok((lock, now))
}
