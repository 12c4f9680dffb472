//! Tests of the whole, one module a topic.

mod accounts;
mod actors;
mod admission;
mod attach;
mod bridge;
mod chaos;
mod cli;
mod connect;
mod crash;
mod credentials;
#[cfg(target_os = "linux")]
mod desktop;
mod egress;
mod fields;
mod gateway;
mod guard;
mod journeys;
#[cfg(target_os = "linux")]
mod keyring;
mod layers;
mod mcp;
mod minting;
mod own_tokens;
mod paste;
mod pressure;
mod probes;
mod processes;
mod projects;
mod proxy;
mod ready;
mod redaction;
mod rules;
mod run;
mod scenarios;
mod step_up;
mod streaming;
mod support;
mod tenants;
mod tls;
mod transparent;
mod transport;
mod trial;
mod unattended;
mod upstreams;
mod wall;
