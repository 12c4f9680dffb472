//! What was done so that an agent did not lose a server, as documents show it.

use serde::{Deserialize, Serialize};

use super::GrantedAccount;
use crate::api::Moment;

/// What one session was spared, since the daemon began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAlive {
    /// The accounts at which it has MCP sessions that the server knows nothing of yet.
    pub waiting: Vec<GrantedAccount>,
    /// Answers in the place of a server that could not be asked.
    pub stubbed: Times,
    /// MCP sessions that the server had lost, and that were opened anew.
    pub repaired: Times,
    /// Streams that had broken, and were gone on with.
    pub resumed: Times,
}

/// How often something was done, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// When last; `null`: never.
    pub last_at: Option<Moment>,
}
