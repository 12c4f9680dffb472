//! Rules of the protocol and of the systems this one replaces, a test each, named after the rule.

mod credentials;
mod daemon;
mod list;
mod messages;
mod sign_in;
mod standing;
mod trouble;
