//! Decisions, and nothing else: no async, no input or output, no clock, no logging. Whatever
//! depends on the time takes `now` as an argument.

pub mod catalogue;
pub mod edition;
pub mod fault;
pub mod guess;
pub mod id;
pub mod in_band;
pub mod invocation;
pub mod mcp;
pub mod nearest;
pub mod passage;
pub mod record;
pub mod refresh;
pub mod route;
pub mod secret;
pub mod session;
pub mod step_up;
pub mod time;
pub mod token;
pub mod turns;
