//! `upstream set-secret`: reads a secret from standard input, without showing it on a terminal,
//! and hands it to the daemon.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use http::Method;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::run::{Context, spelled};
use super::start;
use crate::api::{self, SetSecret};
use crate::ctl::{Fault, Outcome};
use crate::model::catalogue::{Code, Problem};

/// At most this much of a key is read.
const KEY_LIMIT: u64 = 32 * 1024;

pub(super) async fn set(context: &Context, name: &str) -> Outcome {
    // Only a daemon can open the store.
    start::ensure_running(context).await?;
    let secret = read(name)?;
    let ctl = &context.ctl;
    let request = SetSecret {
        secret: secret.to_string(),
    };
    let path = api::path::secret(name);
    let done: Result<serde_json::Value, Fault> =
        ctl.client.call(Method::PUT, &path, Some(&request)).await;
    let outcome = done.map(|_| 0);
    if outcome.is_ok() {
        let screen = &ctl.screen;
        screen.out(format!("{} The secret of {name} is stored", screen.tick()));
        screen.hint(format!("doorward upstream test {name}"));
    }
    spelled(ctl, outcome, Some(name)).await
}

fn read(name: &str) -> Result<Zeroizing<String>, Fault> {
    let failed = |why: String| -> Fault {
        Problem::new(Code::BadRequest)
            .because(why)
            .next_step(format!("doorward upstream set-secret {name} < FILE"))
            .into()
    };
    let stdin = io::stdin();
    let hidden = stdin.is_terminal().then(Hidden::begin);
    if hidden.is_some() {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "Secret of {name} (not shown): ");
        let _ = stderr.flush();
    }
    let mut line = Zeroizing::new(String::with_capacity(4096));
    let read = stdin.lock().read_line(&mut line);
    if hidden.is_some() {
        let _ = writeln!(io::stderr().lock());
    }
    read.map_err(|error| failed(format!("it cannot be read: {error}")))?;
    if line.starts_with("-----BEGIN ") {
        // A key in PEM has many lines.
        let rest = stdin.lock().take(KEY_LIMIT).read_to_string(&mut line);
        rest.map_err(|error| failed(format!("it cannot be read: {error}")))?;
    }
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(failed("nothing was typed".to_owned()));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let stdin = io::stdin();
        let Ok(before) = tcgetattr(&stdin) else {
            return Self(None);
        };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(&stdin, OptionalActions::Now, &quiet);
        Self(Some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
