//! `login --device`: the code, and where to enter it.

use std::io::Write;

use super::Ctl;
use crate::api::{DeviceCode, Moment};
use crate::model::time::brief;

/// Shows what to enter where; the code as the server wrote it (RFC 8628 §3.3).
pub(super) fn invite(ctl: &Ctl, account: &str, code: &DeviceCode, expires: Option<Moment>) {
    let screen = &ctl.screen;
    let mut text = format!(
        "To sign in to {account}, open this page on any device:\n\n  {}\n\nand enter the code:\n\n  {}\n",
        plain(&code.verification_uri),
        plain(&code.user_code)
    );
    if let Some(page) = &code.verification_uri_complete {
        let line = format!("\nor open: {}\n", plain(page));
        text.push_str(&line);
    }
    // Nobody could go on without it: it is printed even where little talk is wanted.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
    let left = expires.map_or(String::new(), |Moment(end)| {
        format!(", {} left", brief(end.since(screen.now()), 2))
    });
    screen.say(format!("Waiting {} Ctrl-C to stop{left}", screen.dash()));
}

/// What a server wrote, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}
