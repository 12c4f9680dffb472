//! Everything that needs more than one module: real sockets, the whole port, the whole daemon.

#![allow(
    unreachable_pub,
    missing_docs,
    reason = "helpers are shared between the modules of one test binary"
)]

mod support;

mod credentials;
mod guard;
mod probes;
mod proxy;
mod streaming;
mod transport;
