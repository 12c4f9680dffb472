//! Notices on the desktop of whoever runs the daemon: on Linux by the session bus (Desktop
//! Notifications Specification 1.2), on macOS by `osascript`.

#[cfg(any(target_os = "macos", test))]
mod script;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) title: String,
    /// In plain text.
    pub(super) text: String,
}

/// Why a notice was not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotShown {
    #[cfg(target_os = "linux")]
    #[error("the session bus: {0}")]
    Bus(#[from] zbus::Error),
    #[cfg(target_os = "macos")]
    #[error("osascript: {0}")]
    Script(#[from] std::io::Error),
    #[cfg(target_os = "linux")]
    #[error("it was given up")]
    GivenUp(#[from] tokio::task::JoinError),
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    #[error("there is no way to show one on this system")]
    NoWay,
}

/// Whether there may be a desktop: no bus is looked for where nobody said that there is one.
#[cfg(target_os = "linux")]
pub(super) fn is_there() -> bool {
    let said = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    said("DBUS_SESSION_BUS_ADDRESS") || said("XDG_RUNTIME_DIR")
}

/// Whether there may be a desktop.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_there() -> bool {
    cfg!(target_os = "macos")
}

/// Shows a notice. Takes five seconds at most.
#[cfg(target_os = "linux")]
pub(super) async fn show(notice: Notice) -> Result<(), NotShown> {
    tokio::task::spawn_blocking(move || notify(&notice)).await?
}

#[cfg(target_os = "linux")]
fn notify(notice: &Notice) -> Result<(), NotShown> {
    use std::collections::HashMap;
    use std::time::Duration;

    use zbus::blocking::connection::Builder;
    use zbus::zvariant::Value;

    const SERVICE: &str = "org.freedesktop.Notifications";
    const PATH: &str = "/org/freedesktop/Notifications";
    let connection = Builder::session()?
        .method_timeout(Duration::from_secs(5))
        .build()?;
    // Bodies are a small markup where the desktop can show any.
    let text = notice.text.replace('&', "&amp;").replace('<', "&lt;");
    let actions: [&str; 0] = [];
    let hints = HashMap::from([("category", Value::from("network"))]);
    let body = (
        "doorward",
        0_u32,
        "dialog-password",
        &notice.title,
        text,
        &actions[..],
        hints,
        -1_i32,
    );
    connection.call_method(Some(SERVICE), PATH, Some(SERVICE), "Notify", &body)?;
    Ok(())
}

/// Shows a notice. Takes five seconds at most.
#[cfg(target_os = "macos")]
pub(super) async fn show(notice: Notice) -> Result<(), NotShown> {
    Ok(script::show(script::PROGRAM.as_ref(), &notice).await?)
}

/// Shows no notice.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) async fn show(_: Notice) -> Result<(), NotShown> {
    Err(NotShown::NoWay)
}
