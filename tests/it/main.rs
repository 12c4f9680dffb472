//! Tests of the whole, one module a topic.

mod actors;
mod admission;
mod bridge;
mod cli;
mod crash;
mod credentials;
mod fields;
mod gateway;
mod guard;
mod journeys;
#[cfg(target_os = "linux")]
mod keyring;
mod layers;
mod mcp;
mod own_tokens;
mod pressure;
mod probes;
mod processes;
mod proxy;
mod redaction;
mod rules;
mod run;
mod scenarios;
mod streaming;
mod support;
mod tls;
mod transparent;
mod transport;
mod trial;
mod upstreams;
