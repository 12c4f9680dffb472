//! A daemon, the smallest upstream that answers it, and the two ways to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// An MCP server that answers every request with the same few bytes.
pub(crate) struct Upstream(SocketAddr);

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        Self(address)
    }
}

fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some((first, body)) = message(&mut reader) {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = match (first.starts_with("POST"), asked.get("id")) {
            (true, Some(id)) => {
                let result = if asked["method"] == "initialize" {
                    json!({"protocolVersion": "2025-06-18", "capabilities": {},
                           "serverInfo": {"name": "bench", "version": "0"}})
                } else {
                    json!({"content": []})
                };
                let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
                let length = body.len();
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n\r\n{body}"
                )
            }
            (true, None) => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned(),
            (false, _) => "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// One HTTP message with a body of known length: its first line and its body.
fn message(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// The built daemon in a state directory of its own.
pub(crate) struct Daemon {
    home: tempfile::TempDir,
    child: Child,
    credential: String,
    address: String,
}

impl Daemon {
    pub(crate) fn start(upstream: &Upstream) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let state = home.path().join("state");
        std::fs::create_dir(&state).expect("made");
        let config = format!(
            "[store]\nkind = \"file\"\n[server]\nport = 0\n[sessions]\nmax = 100000\n\
             [upstreams.up]\nurl = \"http://{}/mcp\"\nauth = {{ kind = \"none\" }}\n",
            upstream.0
        );
        std::fs::write(state.join("config.toml"), config).expect("written");
        let mut serve = command(&home);
        serve.args(["serve", "--ready-fd", "1"]);
        serve.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = serve.spawn().expect("it starts");
        let mut ready = String::new();
        let output = child.stdout.take().expect("piped");
        let read = BufReader::new(output).read_line(&mut ready);
        assert!(read.expect("a line") > 0, "it is ready");
        let minted = command(&home).args(["session", "mint", "--json"]).output();
        let minted: Value = serde_json::from_slice(&minted.expect("minted").stdout).expect("JSON");
        let text = |name: &str| minted[name].as_str().expect("text").to_owned();
        Self {
            credential: text("credential"),
            address: text("url").trim_start_matches("http://").to_owned(),
            home,
            child,
        }
    }

    pub(crate) fn command(&self) -> Command {
        command(&self.home)
    }
}

fn command(home: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.env_clear().env("HOME", home.path());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg("--state-dir").arg(home.path().join("state"));
    command.current_dir(home.path());
    command
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{}}}"#;

/// A connection of an agent that speaks HTTP.
pub(crate) struct Line {
    reader: BufReader<TcpStream>,
    request: String,
}

impl Line {
    pub(crate) fn open(daemon: &Daemon) -> Self {
        let stream = TcpStream::connect(&daemon.address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let (address, credential, length) = (&daemon.address, &daemon.credential, CALL.len());
        let request = format!(
            "POST /u/up HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {credential}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             content-length: {length}\r\n\r\n{CALL}"
        );
        let reader = BufReader::new(stream);
        Self { reader, request }
    }

    pub(crate) fn call(&mut self) {
        let request = self.request.as_bytes();
        self.reader.get_mut().write_all(request).expect("it reads");
        let (first, _) = message(&mut self.reader).expect("an answer");
        assert!(first.contains(" 200 "), "{first}");
    }
}

/// A pipe of an agent that starts commands.
pub(crate) struct Bridge {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Bridge {
    pub(crate) fn open(daemon: &Daemon) -> Self {
        let mut command = daemon.command();
        command.args(["bridge", "up"]).stderr(Stdio::null());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut bridge = Self {
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        };
        let hello = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                       "clientInfo": {"name": "bench", "version": "0"}},
        });
        bridge.ask(&hello.to_string());
        bridge
    }

    pub(crate) fn call(&mut self) {
        self.ask(CALL);
    }

    fn ask(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).expect("it reads");
        let mut answer = String::new();
        let read = self.output.read_line(&mut answer).expect("text");
        assert!(read > 0 && answer.contains("\"result\""), "{answer}");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
