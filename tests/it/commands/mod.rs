//! Commands and signals against a daemon that runs, one file a topic.

mod health;
mod revoking;
