//! Tests of the whole, one module a topic.

mod crash;
mod credentials;
mod guard;
#[cfg(target_os = "linux")]
mod keyring;
mod probes;
mod proxy;
mod streaming;
mod support;
mod transport;
