//! Which names a client's own files have already, for `run`: two entries of one name are one to
//! some programs, and an error to others.

use std::collections::BTreeMap;
use std::path::Path;

use super::{place, store};
use crate::cli::run::Context;
use crate::connect::{Client, Scope};

/// Whose an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Holder {
    /// `connect` has written it.
    Ours,
    /// The person, or another program.
    Theirs,
}

/// The names of servers in the client's files of the person and of this directory. A file that
/// cannot be read holds nothing: whoever starts an agent is not kept from it.
pub(in crate::cli) fn taken(context: &Context, client: Client) -> BTreeMap<String, Holder> {
    let mut names = BTreeMap::new();
    let Ok(places) = place::places() else {
        return names;
    };
    let connections = store::load(context).unwrap_or_default();
    let facts = client.facts();
    for scope in [Scope::User, Scope::Project] {
        let Some(file) = client.file(scope, &places, Path::exists) else {
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let text = text.trim_start_matches('\u{feff}');
        let all = facts.format.read(text).unwrap_or_default();
        let entries = facts.path.iter().try_fold(&all, |map, part| map.get(part));
        let ours = connections.find(facts.name, &file).map(|it| &it.ours);
        let entries = entries.and_then(serde_json::Value::as_object);
        for (name, entry) in entries.into_iter().flatten() {
            let holder = if ours.is_some_and(|ours| ours.holds(name, entry)) {
                Holder::Ours
            } else {
                Holder::Theirs
            };
            // Whatever it is elsewhere, this one would be met.
            if holder == Holder::Theirs || !names.contains_key(name) {
                names.insert(name.clone(), holder);
            }
        }
    }
    names
}
