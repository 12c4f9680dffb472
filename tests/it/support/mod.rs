//! What the tests are made of.

pub mod agent;
pub mod raw;
