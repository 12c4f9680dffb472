//! doorward stands between many long-lived agent sessions and the remote MCP servers they call.
//! An agent gets one credential of its own and keeps it; doorward swaps it, on every request, for
//! a fresh upstream credential that the agent never sees.
//!
//! Read in this order and you know the system: [`model::session`] (when a session lives),
//! [`model::refresh`] (what a refresh does next), [`ledger`] (what the warm path reads),
//! [`actor`] (who changes it), [`web`] (how a request passes), [`daemon`] (how it is wired).
//!
//! Modules import downwards only: `model` and `egress` know nothing of the others; `clock`, `paths`, `process`,
//! `http`, `jose`, `transport`, `api`, `config`, `project`, `store` and `oauth` know `model`; `ledger` and
//! `credential` know those;
//! `actor` knows the ledger; `web`, `ctl` and `run` are the edges; `daemon`, `demo` and `cli` wire it all.
//! `tests/it/layers.rs` fails on a breach.

pub mod actor;
pub mod agents;
pub mod api;
pub mod bridge;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connect;
pub mod credential;
pub mod ctl;
pub mod daemon;
pub mod demo;
pub mod egress;
pub mod failpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
pub mod import;
pub mod jose;
pub mod ledger;
pub mod model;
pub mod oauth;
pub mod paths;
pub mod process;
pub mod project;
pub mod run;
pub mod store;
pub mod transport;
pub mod web;
