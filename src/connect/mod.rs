//! Other programs' configuration files: putting servers into one, and taking out exactly what was
//! put in, whatever was changed around it meanwhile. Everything but `file` and `record` is a
//! function from one text to another. A change is made of splices and then checked by what both
//! texts mean: our entry differs, and nothing else.

mod braces;
mod client;
mod ends;
mod entry;
mod file;
mod format;
mod json;
mod plan;
mod record;
mod setting;
#[cfg(test)]
mod tests;
mod text;
mod toml;
mod tree;
mod yaml;

pub use client::{Client, Facts, Places, Scope};
pub use ends::LineEnd;
pub use entry::{Entry, Mode, Program, Server, entry};
pub use file::{Draft, FileError};
pub use format::{Format, Refused};
pub use plan::{Change, Operation, Plan, Wish, connect, disconnect};
pub use record::{Connection, Connections, Kept, Ours, Was};
pub use setting::{Fields, Setting};
