//! MCP sessions of the revisions that have them: whose they are, and what becomes of them when
//! the upstream loses them.

mod broken;
mod compressed;
mod ownership;
mod repair;
mod server;
mod standin;
mod streams;
