//! What can go wrong with a command that prints a credential.

use std::time::Duration;

/// Why a command brought no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandFault {
    /// It is not there, or may not be executed.
    #[error("`{command}` cannot be started: {why}")]
    Missing {
        /// The program.
        command: String,
        /// What the system said.
        why: String,
        /// How a person can get it.
        install_hint: Option<String>,
    },
    /// It ended with an error.
    #[error("`{command}` {ended}: {detail}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended: `exited 1`.
        ended: String,
        /// The last line of its complaint.
        detail: String,
    },
    /// It did not end in time and was killed.
    #[error("`{command}` did not finish in {}", humantime::format_duration(*.after))]
    TimedOut {
        /// The command.
        command: String,
        /// After how long.
        after: Duration,
    },
    /// It printed something else than a credential.
    #[error("`{command}` printed no credential: {what}")]
    Output {
        /// The command.
        command: String,
        /// What is wrong with it.
        what: String,
    },
}
