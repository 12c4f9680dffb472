//! The main job, played through on this machine without any account: an authorization server whose
//! access tokens live for seconds, an MCP server that believes nobody else, the real daemon as a
//! process of its own, one sign-in, eight sessions. One more agent goes to the server directly, the
//! way agents do, with the token that it got at its start.

mod agents;
mod clerk;
mod guest;
mod host;
mod provider;
mod resource;
mod score;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::System;

use crate::clock::{Clock, SystemClock, SystemRandom};
use crate::ctl::{Fault, Outcome, Screen};
use crate::http::{OwnClient, Timeouts, TlsFault, install_crypto_provider};
use crate::model::catalogue::{Code, Problem};

use agents::Team;
use clerk::Clerk;
use guest::Guest;
use score::{Score, Tally};

/// How long an access token of the demo lives.
const TOKEN_LIFE: Duration = Duration::from_secs(5);
/// How many sessions work at once.
const SESSIONS: usize = 8;

/// Plays for `seconds`, or until Ctrl-C. The exit code is 0 if no call failed and no refresh token
/// was presented twice.
pub fn run(screen: &Screen, seconds: u32) -> Outcome {
    install_crypto_provider();
    System::new().block_on(play(screen, seconds))
}

fn failed(what: &str, error: impl std::fmt::Display) -> Fault {
    Problem::new(Code::Internal)
        .with("detail", format!("{what}: {error}"))
        .into()
}

async fn play(screen: &Screen, seconds: u32) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let clerk = Arc::new(Clerk::new(
        Arc::clone(&clock),
        Arc::new(SystemRandom),
        TOKEN_LIFE,
    ));
    let provider = provider::start(&clerk).map_err(|e| failed("no authorization server", e))?;
    let server = resource::start(&clerk, &provider.url).map_err(|e| failed("no MCP server", e))?;
    // Nothing of the demo leaves this machine, so nobody has to be trusted.
    let untrusting = Err(TlsFault::NoTrust("not needed".to_owned()));
    let client = OwnClient::new(untrusting, Arc::clone(&clock), Timeouts::default());

    screen.say(format!(
        "authorization server  {}  (access tokens live {} s, refresh tokens work once)",
        provider::issuer(&provider.url),
        TOKEN_LIFE.as_secs()
    ));
    screen.say(format!("MCP server            {}", server.url));
    let daemon = Guest::start(&server.url).await?;
    screen.say(format!("doorward              {}", daemon.url));
    daemon.sign_in(&client).await?;
    screen.say(format!("{} signed in, once", screen.tick()));

    let tally = Rc::new(Tally::default());
    let team = Team::hire(&client, &daemon, &server.url, &clerk, &tally).await?;
    let mut score = Score::new(screen, &clerk, &tally);
    let last = score.keep(&daemon, seconds).await?;
    team.stop();
    score.sum_up(&last);
    daemon.stop().await;
    provider.stop().await;
    server.stop().await;
    Ok(u8::from(!last.is_clean()))
}
