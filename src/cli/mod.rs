//! The command line: what can be typed, and which command runs then. Only flags that work are
//! here.

mod address;
mod agent;
mod arguments;
mod attach;
mod bridge;
mod connect;
mod import;
mod inject;
mod local;
mod login;
mod logs;
mod misread;
mod project;
mod run;
mod secret;
mod service;
mod session;
mod start;
#[cfg(test)]
mod tests;
mod up;
mod upstream;

pub use arguments::Cli;
pub use run::run;
