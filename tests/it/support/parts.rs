//! The real parts: an authorization server and an MCP server that other people wrote, the built
//! program, and a person who signs in without a browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// One part: it stops when its standard input closes.
pub(crate) struct Part {
    child: Child,
    _stdin: Option<ChildStdin>,
    pub(crate) url: String,
    pub(crate) control: String,
}

impl Part {
    fn start(script: &str, config: &Value) -> Self {
        let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts");
        assert!(
            parts.join("node_modules").exists(),
            "the parts are missing; run tests/setup"
        );
        let is_python = Path::new(script).extension().is_some_and(|it| it == "py");
        let program = if is_python {
            parts.join(".venv/bin/python")
        } else {
            "node".into()
        };
        let mut child = Command::new(program)
            .arg(parts.join(script))
            .arg(config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the part starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut line)
            .expect("a ready line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| ready[name].as_str().expect("in the ready line").to_owned();
        let (url, control) = (text("url"), text("control"));
        Self {
            _stdin: child.stdin.take(),
            child,
            url,
            control,
        }
    }

    pub(crate) fn authorization_server(config: &Value) -> Self {
        Self::start("authorization_server.mjs", config)
    }

    pub(crate) fn resource_server(authority: &Part) -> Self {
        let config = json!({"issuer": authority.url, "check": authority.control});
        Self::start("resource_server.mjs", &config)
    }

    /// One of the revision without sessions, at this port; 0 for any.
    pub(crate) fn stateless_server(authority: &Part, port: u16) -> Self {
        let config = json!({
            "issuer": authority.url, "check": authority.control, "stateless": true, "port": port,
        });
        Self::start("resource_server.mjs", &config)
    }

    /// One that keeps every byte that it is sent.
    pub(crate) fn tapped_server(authority: &Part) -> Self {
        let config = json!({
            "issuer": authority.url, "check": authority.control, "wiretap": true,
        });
        Self::start("resource_server.mjs", &config)
    }

    /// The Python SDK's MCP server, which is its own authorization server.
    pub(crate) fn python_server(config: &Value) -> Self {
        Self::start("python_server.py", config)
    }

    /// Debian's glewlwyd; `None` where it is not installed.
    pub(crate) fn glewlwyd() -> Option<Self> {
        let there = Path::new("/usr/bin/glewlwyd").exists();
        there.then(|| Self::start("glewlwyd.mjs", &json!({})))
    }

    /// A server that speaks HTTP/2 over TLS.
    pub(crate) fn h2_server(config: &Value) -> Self {
        Self::start("h2_server.mjs", config)
    }

    /// An MCP server that asks nobody for a token.
    pub(crate) fn unprotected_server() -> Self {
        Self::start("resource_server.mjs", &json!({"protected": false}))
    }

    /// A call of the control side.
    pub(crate) fn tell(&self, path: &str, body: &Value) -> Value {
        Exchange::post(&format!("{}{path}", self.control), body).json()
    }

    pub(crate) fn ask(&self, path: &str) -> Value {
        Exchange::get(&format!("{}{path}", self.control)).json()
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.ask("/counts")[name].as_u64().expect("a count")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own, in HTTP/1.0 so that the body ends with it.
pub(crate) struct Exchange {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Exchange {
    pub(crate) fn get(url: &str) -> Self {
        Self::send("GET", url, &[], "")
    }

    pub(crate) fn post(url: &str, body: &Value) -> Self {
        Self::send(
            "POST",
            url,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
    }

    pub(crate) fn send(method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> Self {
        let mut answer = Vec::new();
        let mut stream = open(method, url, fields, body);
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Sends a request and leaves the answer to the caller.
pub(crate) fn open(method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> TcpStream {
    let rest = url.strip_prefix("http://").expect("http");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).expect("it listens");
    let wait = Some(Duration::from_mins(1));
    stream.set_read_timeout(wait).expect("a socket");
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (fields, length) = (fields.concat(), body.len());
    let request = format!(
        "{method} /{path} HTTP/1.0\r\nhost: {authority}\r\n{fields}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

/// The built program with a state directory of its own.
pub(crate) struct Daemon {
    home: tempfile::TempDir,
    pub(crate) child: Option<Child>,
    /// Where the next one is killed or panics, in the form of `FAILPOINTS`.
    pub(super) failpoints: String,
    /// What else it finds in its environment.
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) url: String,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut daemon = Self {
            home,
            child: None,
            failpoints: String::new(),
            variables: Vec::new(),
            url: String::new(),
        };
        std::fs::create_dir(daemon.state()).expect("a directory");
        std::fs::write(
            daemon.state().join("config.toml"),
            "[store]\nkind = \"file\"\n",
        )
        .expect("a file");
        daemon.serve();
        daemon
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// A command of the program, in this daemon's state directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.env_clear().env("HOME", self.home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--state-dir").arg(self.state());
        command
    }

    /// Serves, on the port of the last time where there was one.
    pub(crate) fn serve(&mut self) {
        assert!(self.try_serve(), "not ready: {}", self.log());
    }

    /// The same; tells whether it came as far as to be ready.
    pub(crate) fn try_serve(&mut self) -> bool {
        let port = self
            .url
            .rsplit(':')
            .next()
            .filter(|port| !port.is_empty())
            .unwrap_or("0");
        let log = std::fs::File::create(self.home.path().join("log")).expect("a file");
        let mut child = self
            .command()
            .env("DOORWARD_LOG", "trace")
            .env("FAILPOINTS", &self.failpoints)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(["serve", "--ready-fd", "1", "--port", port])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        self.child = Some(child);
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            return false;
        };
        ready["url"]
            .as_str()
            .expect("its address")
            .clone_into(&mut self.url);
        true
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it ran");
        child.wait().expect("it ended");
    }

    /// Waits for a daemon that was told to stop.
    pub(crate) fn forget(&mut self) {
        if let Some(mut child) = self.child.take() {
            assert!(child.wait().expect("it ends").success());
        }
    }

    /// A command as messages about this daemon have it.
    pub(crate) fn typed(&self, command: &str) -> String {
        format!("doorward --state-dir {} {command}", self.state().display())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Runs a command and returns its exit code and its JSON.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self
            .command()
            .args(arguments)
            .args(["-o", "json", "-y"])
            .output();
        let output = output.expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        (
            output.status.code().unwrap_or(-1),
            serde_json::from_str(&text).unwrap_or_default(),
        )
    }

    /// Mints a session and returns its id and its credential.
    pub(crate) fn mint(&self, label: &str) -> (String, String) {
        let (code, minted) = self.run(&["session", "mint", "--label", label]);
        assert_eq!(code, 0, "{minted}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&minted["session"]["id"]), text(&minted["credential"]))
    }

    /// Signs in as a person would, whose browser is four requests.
    pub(crate) fn sign_in(&self, authority: &Part, upstream: &str) -> Walk {
        let mut login = self
            .command()
            .args(["login", upstream, "--no-browser", "--force"])
            .args(if upstream.contains('/') {
                &["--name", "ev"][..]
            } else {
                &[]
            })
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut talk = BufReader::new(login.stderr.take().expect("piped"));
        let (mut link, mut said) = (String::new(), String::new());
        while !(link.contains("/login/ev") && link.contains("?t=")) {
            link.clear();
            assert_ne!(
                talk.read_line(&mut link).expect("talk"),
                0,
                "no link: {said}"
            );
            said += &link;
        }
        let page = Exchange::get(link.trim());
        let cookie = page
            .field("set-cookie")
            .expect("a cookie")
            .split(';')
            .next();
        let authorize = page.field("location").expect("on to the provider");
        let walked = authority.tell("/sign-in", &json!({"url": authorize, "deliver": false}));
        let back = walked["location"].as_str().expect("a way back");
        let stranger = Exchange::get(back);
        assert_eq!(stranger.status, 400, "another browser cannot finish it");
        let landed = Exchange::send("GET", back, &[("cookie", cookie.expect("a pair"))], "");
        assert_eq!(landed.status, 200, "{}", landed.body);
        // The rest of the talk must be read, or the program waits for somebody to read it.
        let mut rest = String::new();
        talk.read_to_string(&mut rest).expect("talk");
        assert!(login.wait().expect("it ends").success(), "{rest}");
        Walk {
            link: link.trim().to_owned(),
            cookie: cookie.expect("a pair").to_owned(),
            pages: [page, stranger, landed].map(|page| page.body),
            said: said + &rest,
        }
    }

    /// A JSON-RPC request of an agent.
    pub(crate) fn call(&self, agent: &Agent, method: &str, params: &Value) -> Exchange {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let bearer = format!("Bearer {}", agent.credential);
        let mut fields = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        if let Some(session) = &agent.session {
            fields.push(("mcp-session-id", session));
        }
        Exchange::send(
            "POST",
            &format!("{}/u/ev", self.url),
            &fields,
            &body.to_string(),
        )
    }

    /// An agent that has shaken hands.
    pub(crate) fn agent(&self, label: &str) -> Agent {
        let (id, credential) = self.mint(label);
        self.shake_hands(Agent::known(id, credential))
    }

    /// The same agent with an MCP session of its own.
    pub(crate) fn shake_hands(&self, mut agent: Agent) -> Agent {
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        });
        let answer = self.call(&agent, "initialize", &hello);
        assert_eq!(answer.status, 200, "{}", answer.body);
        agent.session = answer.field("mcp-session-id").map(ToOwned::to_owned);
        agent
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The daemon that `up` or `login` started by itself.
        let _ = self.command().args(["down", "-y"]).output();
    }
}

/// What a person saw of a sign-in, and what only the browser did.
pub(crate) struct Walk {
    pub(crate) link: String,
    pub(crate) cookie: String,
    pub(crate) pages: [String; 3],
    pub(crate) said: String,
}

/// An agent's session with an MCP session of its own.
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) credential: String,
    session: Option<String>,
}

impl Agent {
    /// An agent that has not shaken hands.
    pub(crate) fn known(id: String, credential: String) -> Self {
        Self {
            id,
            credential,
            session: None,
        }
    }

    /// Its MCP session.
    pub(crate) fn session(&self) -> &str {
        self.session.as_deref().expect("it has shaken hands")
    }
}

/// A daemon that is signed in at a real server.
pub(crate) fn signed_in(config: &Value) -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(config);
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    daemon.sign_in(&authority, &upstream.url);
    (authority, upstream, daemon)
}
