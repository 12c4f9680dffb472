//! The project that a command runs in.

use super::local;
use super::run::Context;
use crate::api::Minted;
use crate::ctl::Fault;
use crate::project::{self, Project};

/// The project of the working directory. A mistake in its file is told, and nothing is given out:
/// what it wants to take away cannot be known.
pub(super) fn here(context: &Context) -> Result<Option<Project>, Fault> {
    // Who works in a directory that is gone works in no project.
    let Ok(directory) = std::env::current_dir() else {
        return Ok(None);
    };
    project::find(&directory).map_err(|error| {
        let fix = format!("edit {}", error.file.display());
        local::tell_config(context, &error, &fix)
    })
}

/// Tells what a project names in vain, and that it leaves nothing.
pub(super) fn tell(context: &Context, project: Option<&Project>, minted: &Minted) {
    let Some(project) = project else { return };
    let (screen, file) = (&context.ctl.screen, project.file.display());
    if !minted.lacking.is_empty() {
        let names = minted.lacking.join(", ");
        let names = names.replace(char::is_control, " ");
        screen.hint(format!(
            "{file} also names {names}, which you have not or may not use here"
        ));
    }
    if minted.session.grant.is_empty() && !minted.session.grant_all {
        screen.warn(format!("{file} leaves no upstream to this session"));
    }
}
