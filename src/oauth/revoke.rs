//! Revocation (RFC 7009): the refresh token first, then the access token. A sign-out is complete
//! locally whatever comes of it.

use std::time::Duration;

use crate::model::fault::TransientCause;

/// What came of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The tokens are void, or were unknown already.
    Done,
    /// The server offers none, or not for this kind of token.
    NotOffered,
    /// Try again later.
    Later {
        /// Why.
        cause: TransientCause,
        /// How long the server asked to wait, bounded.
        retry_after: Option<Duration>,
    },
    /// The server refused.
    Refused(u16),
}
