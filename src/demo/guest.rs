//! The daemon of the demo: this very program as a process of its own, in a directory that goes
//! with it. It ends when its standard input ends, so that nothing is left if the demo is killed.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;
use std::time::Duration;

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use super::failed;
use crate::api::{
    self, LoginProgress, LoginStarted, LoginState, Mint, Minted, Sessions, StartLogin,
};
use crate::ctl::{Client, Fault};
use crate::http::{Answer, OwnClient, Reach, Request};
use crate::model::catalogue::{Code, Problem};
use crate::model::record::SessionOrigin;

/// The name of the MCP server in the configuration.
const UPSTREAM: &str = "demo";
/// How long the daemon may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon that runs.
pub(super) struct Guest {
    /// Where agents reach it.
    pub(super) url: String,
    control: Client,
    child: Child,
    _home: TempDir,
}

impl Guest {
    /// Starts a daemon that knows the MCP server at `server`.
    pub(super) async fn start(server: &Url) -> Result<Self, Fault> {
        let home = tempfile::tempdir().map_err(|e| failed("no directory", e))?;
        // The key of the store lies beside it: the keyring is for sign-ins that matter.
        let config =
            format!("[store]\nkind = \"file\"\n\n[upstreams.{UPSTREAM}]\nurl = \"{server}\"\n");
        let state = home.path().join("state");
        DirBuilder::new()
            .mode(0o700)
            .create(&state)
            .map_err(|e| failed("no directory", e))?;
        std::fs::write(state.join("config.toml"), config)
            .map_err(|e| failed("no configuration", e))?;
        let log = home.path().join("log");
        let file = File::create(&log).map_err(|e| failed("no log", e))?;
        let program = std::env::current_exe().map_err(|e| failed("no program", e))?;
        let mut child = Command::new(program)
            .env_clear()
            .env("HOME", home.path())
            .arg("--state-dir")
            .arg(&state)
            .args(["serve", "--port", "0", "--ready-fd", "1", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            // Ctrl-C is for the demo, which then stops the daemon.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed("the daemon does not start", e))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut reader = BufReader::new(stdout);
            let read = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await;
            read.map_err(|e| failed("the daemon is not ready", e))?
                .map_err(|e| failed("the daemon is not ready", e))?;
        }
        let ready: Value = serde_json::from_str(&line).map_err(|_| {
            // The directory goes with this error, so the log itself is what there is to read.
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            Problem::new(Code::Internal).with("detail", said.trim())
        })?;
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            url: format!("{}/u/{UPSTREAM}", text("url")),
            control: Client::new(text("socket").into()),
            child,
            _home: home,
        })
    }

    /// Signs in the way a browser would: three pages that each send it to the next one.
    pub(super) async fn sign_in(&self, client: &OwnClient) -> Result<(), Fault> {
        let path = api::path::login(UPSTREAM);
        let started: LoginStarted = self.control.post(&path, &StartLogin::default()).await?;
        let link = started.url.unwrap_or_default();
        let page = visit(client, &link, None).await?;
        let cookie = page.headers.get(SET_COOKIE).cloned();
        let consent = visit(client, &field(&page, &LOCATION), None).await?;
        visit(client, &field(&consent, &LOCATION), cookie).await?;
        let progress: LoginProgress = self.control.get(&format!("{path}?wait_ms=20000")).await?;
        if progress.state == LoginState::Succeeded {
            return Ok(());
        }
        let why = progress
            .problem
            .map_or(String::new(), |trouble| trouble.why);
        Err(Problem::new(Code::LoginFailed)
            .with("upstream", UPSTREAM)
            .because(why)
            .into())
    }

    /// A session of its own for an agent: the `Authorization` that it sends from then on.
    pub(super) async fn mint(&self, label: String) -> Result<HeaderValue, Fault> {
        let asked = Mint {
            upstreams: vec![UPSTREAM.to_owned()],
            label: Some(label),
            ..Mint::of(SessionOrigin::Mint)
        };
        let minted: Minted = self.control.post(api::path::SESSIONS, &asked).await?;
        HeaderValue::from_str(&format!("Bearer {}", minted.credential))
            .map_err(|e| failed("no credential", e))
    }

    /// How many sessions the daemon has.
    pub(super) async fn sessions(&self) -> Result<usize, Fault> {
        let sessions: Sessions = self.control.get(api::path::SESSIONS).await?;
        Ok(sessions.items.len())
    }

    /// Stops it, and waits.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        // One that does not listen is killed when it is dropped.
        let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
    }
}

fn field(answer: &Answer, name: &HeaderName) -> String {
    let value = answer.headers.get(name).and_then(|v| v.to_str().ok());
    value.unwrap_or_default().to_owned()
}

async fn visit(
    client: &OwnClient,
    address: &str,
    cookie: Option<HeaderValue>,
) -> Result<Answer, Fault> {
    let url = Url::parse(address).map_err(|e| failed("the sign-in leads nowhere", e))?;
    let mut request = Request::get(url).reach(Reach::ANYWHERE);
    if let Some(cookie) = cookie {
        let pair = cookie.to_str().ok().and_then(|text| text.split(';').next());
        let pair = HeaderValue::from_str(pair.unwrap_or_default());
        request = request.header(COOKIE, pair.map_err(|e| failed("no cookie", e))?);
    }
    let answer = client.send(request).await;
    answer.map_err(|e| failed("the sign-in broke off", e))
}
