//! Tests of the whole, one module a topic.

#[cfg(target_os = "linux")]

mod admission;
mod cli;
mod crash;
mod credentials;
mod fields;
mod gateway;
mod guard;
mod keyring;
mod own_tokens;
mod pressure;
mod probes;
mod proxy;
mod streaming;
mod support;
mod tls;
mod transport;
