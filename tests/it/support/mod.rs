//! What the tests of the whole share.

pub(crate) mod alone;
#[cfg(target_os = "linux")]
pub(crate) mod dbus;
