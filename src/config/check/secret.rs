//! Where secrets are kept. What is written is a place; a secret itself is refused.

use super::file;
use crate::config::SecretSource;
use crate::config::kinds::{Variables, list, text};
use crate::config::raw::{Node, Value};
use crate::config::read::Wrong;

/// A place of a secret: `{ keyring = "item" }`, `{ env = "VAR" }`, `{ file = "path" }` or
/// `{ exec = ["command"] }`.
pub(super) fn secret(node: &Node, variables: &Variables) -> Result<SecretSource, Wrong> {
    const HELP: &str = "write { keyring = \"item\" }, { env = \"VARIABLE\" }, \
                        { file = \"~/path\" } or { exec = [\"command\"] }";
    let Value::Table(table) = &node.value else {
        let demand = "must say where the secret is, not what it is";
        return Err(Wrong::new(demand, "secrets are never written here").help(HELP));
    };
    let [item] = table.0.as_slice() else {
        return Err(Wrong::new("must say one place", "this says none or several").help(HELP));
    };
    match item.name.as_str() {
        "env" => text(&item.node).map(SecretSource::Variable),
        "file" => file(&text(&item.node)?, variables).map(SecretSource::File),
        "keyring" => match text(&item.node)? {
            name if is_item(&name) => Ok(SecretSource::Stored(name)),
            _ => Err(Wrong::new(
                "must name an item",
                "letters, digits, `-`, `_` and `.`, at most 64",
            )),
        },
        "exec" => command(&item.node).map(SecretSource::Command),
        other => {
            let unknown = format!("`{other}` is no place");
            Err(Wrong::new("must say where the secret is", unknown).help(HELP))
        }
    }
}

fn is_item(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// A program and its arguments.
pub(super) fn command(node: &Node) -> Result<Vec<String>, Wrong> {
    let words = list(node)?;
    if words.first().is_none_or(String::is_empty) {
        let demand = "must be a program and its arguments";
        return Err(Wrong::new(demand, "there is no program in it"));
    }
    Ok(words)
}
