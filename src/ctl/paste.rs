//! `login --paste`: for a browser that cannot reach this machine. It ends on an address that nothing
//! answers, and that address is all that is needed.

use std::io::{self, BufRead, Write};

use super::{Ctl, Fault};
use crate::api::{self, LoginProgress, LoginStarted, PasteLogin};
use crate::model::catalogue::{Code, Problem};

/// Shows the provider's page, and reads where the browser ended until that finishes the sign-in.
pub(super) async fn finish(
    ctl: &Ctl,
    account: &str,
    started: &LoginStarted,
) -> Result<LoginProgress, Fault> {
    let url = started.authorize_url.as_deref().ok_or_else(|| {
        Problem::new(Code::Internal).with("detail", "the daemon gave no page of the provider")
    })?;
    say(&format!(
        "Open this page in any browser to sign in to {account}:\n\n  {url}\n\n\
         At the end the browser shows an error, since nothing answers there. Copy its address\n\
         (it begins with http and holds `code=`) and paste it here:"
    ));
    loop {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        if !matches!(read, Ok(1..)) {
            return Err(Problem::new(Code::LoginTimeout)
                .with("upstream", account)
                .because("standard input ended before the address came")
                .next_step(format!("doorward login {account} --paste"))
                .into());
        }
        if line.trim().is_empty() {
            continue;
        }
        let request = PasteLogin {
            url: line.trim().to_owned(),
        };
        let path = api::path::paste(account);
        let answered: Result<LoginProgress, Fault> = ctl.client.post(&path, &request).await;
        match answered {
            // Of an earlier sign-in, or only a part of it: the person may try again.
            Ok(progress) if is_another_sign_in(&progress) => {
                say("That address is not of this sign-in. Paste the one that it ended on:");
            }
            Ok(progress) => return Ok(progress),
            Err(fault) if fault.code() == Some(Code::BadRequest) => {
                say("That is not a whole address. Paste it from http to its end:");
            }
            Err(fault) => return Err(fault),
        }
    }
}

fn is_another_sign_in(progress: &LoginProgress) -> bool {
    let trouble = progress.problem.as_ref();
    trouble.and_then(api::Trouble::code) == Some(Code::LoginState)
}

fn say(text: &str) {
    // Nobody could go on without it: it is printed even where little talk is wanted.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
