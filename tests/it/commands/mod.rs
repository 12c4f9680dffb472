//! Commands and signals against a daemon that runs, one file a topic.

mod failing;
mod health;
mod refusals;
mod revoking;
