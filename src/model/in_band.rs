//! How a program asks to be told by the result of its tool call, which its model reads, that its
//! session has ended. Claude Code and Codex put words of their own in the place of those that come
//! with a 401.

/// The field with which it asks.
pub const FIELD: &str = "doorward-errors";
/// Its value.
pub const IN_RESULTS: &str = "result";
