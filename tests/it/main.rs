//! Tests of the whole, one module a topic.

mod accounts;
mod actors;
mod admission;
mod assertions;
mod attach;
mod authorities;
mod bridge;
mod chaos;
mod cli;
mod client_keys;
mod commands;
mod conformance;
mod connect;
mod crash;
mod credentials;
#[cfg(target_os = "linux")]
mod desktop;
mod destinations;
mod device;
mod egress;
mod fairness;
mod fields;
mod files;
mod gateway;
mod guard;
mod http2;
mod interleavings;
mod journeys;
#[cfg(target_os = "linux")]
mod keyring;
mod landing;
mod layers;
mod legacy;
mod mcp;
mod minting;
mod own_tokens;
mod paste;
mod possession;
mod pressure;
mod probes;
mod processes;
mod projects;
mod proxy;
mod ready;
mod redaction;
mod restarts;
#[cfg(target_os = "linux")]
mod reused;
mod rules;
mod run;
mod scenarios;
mod sign_in_again;
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

// Files of the program that `interleavings` builds once more look for their neighbours here.
use doorward::{clock, jose, model};
