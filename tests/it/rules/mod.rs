//! Rules of the protocol and of the systems this one replaces, a test each, named after the rule.

mod credentials;
mod messages;
mod trouble;
