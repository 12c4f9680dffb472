//! A daemon that is killed on purpose, and callers who take it as it comes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::parts::{Agent, Daemon, Exchange, Part};
use super::traffic::hello;

impl Exchange {
    /// The answer, where the other side lives long enough to give its head.
    pub(crate) fn attempt(
        method: &str,
        url: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Option<Self> {
        let (authority, path) = url.strip_prefix("http://")?.split_once('/')?;
        let stream = TcpStream::connect(authority).ok()?;
        let wait = Some(Duration::from_mins(1));
        stream.set_read_timeout(wait).expect("a socket");
        let request = (method, format!("/{path}"), body);
        Self::over(stream, authority, request, fields)
    }

    fn over(
        mut stream: impl Read + Write,
        host: &str,
        (method, path, body): (&str, String, &str),
        fields: &[(&str, &str)],
    ) -> Option<Self> {
        let length = body.len();
        let mut head = format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\n");
        for (name, value) in fields {
            head += name;
            head += ": ";
            head += value;
            head += "\r\n";
        }
        write!(stream, "{head}content-length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

impl Daemon {
    /// Starts again, to be killed (or to panic) where `failpoints` says. Tells whether it became
    /// ready before that.
    pub(crate) fn serve_until(&mut self, failpoints: &str) -> bool {
        failpoints.clone_into(&mut self.failpoints);
        let ready = self.try_serve();
        self.failpoints.clear();
        ready
    }

    /// Waits for the end of a daemon at one of its failpoints.
    pub(crate) fn dies(&mut self) {
        let mut child = self.child.take().expect("it was started");
        let status = child.wait().expect("it ended");
        assert_eq!(status.signal(), Some(9), "{status}: {}", self.log());
    }

    /// It has died by itself, or is killed now.
    pub(crate) fn ends(&mut self, died: bool) {
        if died {
            self.dies();
        } else {
            self.kill();
        }
    }

    /// Waits for its end, however it comes.
    pub(crate) fn reap(&mut self) {
        let mut child = self.child.take().expect("it was started");
        child.wait().expect("it ended");
    }

    /// Adds to its configuration, for the next start.
    pub(crate) fn configure(&self, text: &str) {
        let file = self.state().join("config.toml");
        let before = std::fs::read_to_string(&file).expect("it is there");
        std::fs::write(file, format!("{before}\n{text}\n")).expect("written");
    }

    /// The process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        let child = self.child.as_ref().expect("it was started");
        rustix::process::Pid::from_child(child)
    }

    /// A JSON-RPC request of an agent, to a daemon that may die over it.
    pub(crate) fn try_call(&self, agent: &Agent, method: &str, params: &Value) -> Option<Exchange> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let bearer = format!("Bearer {}", agent.credential);
        let fields = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-session-id", agent.session()),
        ];
        let url = format!("{}/u/ev", self.url);
        Exchange::attempt("POST", &url, &fields, &body.to_string())
    }

    /// A tool call; whether it was carried out.
    pub(crate) fn try_echo(&self, agent: &Agent) -> bool {
        self.try_call(agent, "tools/call", &hello())
            .is_some_and(|answer| answer.status == 200 && answer.body.contains("Echo: hello"))
    }

    /// A request on the control socket, to a daemon that may die over it.
    pub(crate) fn try_control(&self, method: &str, path: &str, body: &Value) -> Option<Exchange> {
        let stream = UnixStream::connect(self.state().join("doorward.sock")).ok()?;
        let fields = [("content-type", "application/json")];
        let body = body.to_string();
        Exchange::over(
            stream,
            "doorward",
            (method, path.to_owned(), &body),
            &fields,
        )
    }

    /// Signs in again, and says whether the person was told that it worked.
    pub(crate) fn try_sign_in(&self, authority: &Part) -> bool {
        const LOGIN: &str = "/api/v1/upstreams/ev/login";
        let started = self.try_control("POST", LOGIN, &json!({"force": true}));
        let link = started.and_then(|started| Some(started.json()["url"].as_str()?.to_owned()));
        if link.and_then(|link| walk(authority, &link)).is_none() {
            return false;
        }
        let progress = self.try_control("GET", &format!("{LOGIN}?wait_ms=30000"), &Value::Null);
        progress.is_some_and(|progress| progress.json()["state"] == "succeeded")
    }
}

/// What a browser does, as far as it gets.
fn walk(authority: &Part, link: &str) -> Option<()> {
    let page = Exchange::attempt("GET", link, &[], "")?;
    let cookie = page.field("set-cookie")?.split(';').next()?;
    let authorize = page.field("location")?;
    let walked = authority.tell("/sign-in", &json!({"url": authorize, "deliver": false}));
    let back = walked["location"].as_str()?;
    Exchange::attempt("GET", back, &[("cookie", cookie)], "").map(drop)
}
