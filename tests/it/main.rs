//! Tests of the whole, one module a topic.

mod cli;
mod crash;
#[cfg(target_os = "linux")]
mod keyring;
mod support;
