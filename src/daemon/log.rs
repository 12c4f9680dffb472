//! The log: stderr, text or JSON, one line a state change.

use std::io::IsTerminal;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::paths::log::{LONGEST_LOG, empty};

/// Starts it. A second start in one process changes nothing.
pub(super) fn install(log: &Log, asked: Option<LogFormat>) {
    let wanted = std::env::var("DOORWARD_LOG").unwrap_or_else(|_| log.level.clone());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|_| EnvFilter::new("info"));
    // The first reports every stream that is cut on purpose as an error; the second announces
    // its workers, which is no change of state that anybody waits for.
    let noise = ["actix_http::h1::dispatcher=off", "actix_server=warn"];
    let filter = noise.iter().fold(filter, |filter, noise| {
        filter.add_directive(noise.parse().expect("a directive"))
    });
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_env_filter(filter);
    let json = match asked.unwrap_or(log.format) {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    // Not `try_init`: what else that installs depends on what the tests need of the crate.
    let _ = if json {
        tracing::subscriber::set_global_default(builder.json().finish())
    } else {
        tracing::subscriber::set_global_default(builder.finish())
    };
}

/// Keeps the log of a daemon in the background within its bound. Nobody writes meanwhile: every
/// line goes through this lock.
pub(super) fn bound(log: &Path) {
    let writing = std::io::stderr().lock();
    let looked = empty(log, &writing, LONGEST_LOG);
    drop(writing);
    match looked {
        Ok(false) => {}
        Ok(true) => tracing::info!("the log was too long; what was before is in doorward.log.1"),
        Err(error) => tracing::warn!(%error, "the log grows on"),
    }
}
