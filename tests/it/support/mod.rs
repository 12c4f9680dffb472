//! What the tests of the whole share.

pub(crate) mod agent;
pub(crate) mod alone;
pub(crate) mod away;
pub(crate) mod chaos;
#[cfg(target_os = "linux")]
pub(crate) mod dbus;
pub(crate) mod exchange;
pub(crate) mod held;
pub(crate) mod parts;
pub(crate) mod pipe;
pub(crate) mod provider;
pub(crate) mod raw;
pub(crate) mod records;
pub(crate) mod sdk;
pub(crate) mod traffic;
