//! The programs that are compared, each a process of its own: an upstream that checks its bearer,
//! the built daemon with a sign-in that was put into its store, and nginx with the bearers in a map.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use doorward::clock::{Clock, SystemClock, SystemRandom};
use doorward::model::record::{SessionRecord, StoreKind};
use doorward::paths::{Environment, Paths, ensure_private_dir};
use doorward::store::Store;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::load::Target;
use super::{records, streams, wire};

/// Set for the process that is to be the upstream: it runs this very program.
pub(crate) const ROLE: &str = "DOORWARD_BENCH_UPSTREAM";

/// Agents with a session each, as many as there are connections at most.
pub(crate) const AGENTS: u64 = 256;

/// What agents ask: about 200 bytes.
pub(crate) const QUESTION: &str = r#"{"jsonrpc":"2.0","id":417,"method":"tools/call","params":{"name":"search_issues","arguments":{"query":"is:open assignee:me label:regression","team":"platform","limit":25},"_meta":{"progressToken":417}}}"#;

/// What the upstream answers: about 300 bytes.
pub(crate) const ANSWER: &str = r#"{"jsonrpc":"2.0","id":417,"result":{"content":[{"type":"text","text":"PLT-204 The retry loop gives up one attempt early. PLT-219 Log lines of the sweeper name no session. PLT-233 Reading the roll takes a second when it is long. 3 of 3 issues, newest last; nothing was left out."}],"isError":false}}"#;

/// The event that every stream begins with.
pub(crate) const EVENT: &[u8] = b"data: {}\n\n";

/// The credential of the upstream: of the length of a small signed token.
fn bearer() -> String {
    "upstream.".repeat(40)
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A thousand streams are more files than a process may have open by default.
pub(crate) fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        panic!("the limit of open files cannot be raised: {error}");
    }
}

/// A child that ends with this process, or earlier.
struct Running {
    child: Child,
    /// The upstream ends when this closes.
    _stdin: Option<ChildStdin>,
}

impl Running {
    /// Starts a program that writes one line when it is ready.
    fn start(mut command: Command) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let running = Self {
            _stdin: child.stdin.take(),
            child,
        };
        (running, line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The upstream, and its authorization server.
pub(crate) struct Upstream {
    _running: Running,
    address: SocketAddr,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env(ROLE, "1");
        let (running, line) = Running::start(command);
        Self {
            _running: running,
            address: line.trim().parse().expect("an address"),
        }
    }

    /// The way without anybody in the middle.
    pub(crate) fn target(&self) -> Target {
        Target {
            name: "direct".to_owned(),
            address: self.address,
            path: "/mcp",
            bearers: vec![bearer()],
            pid: None,
        }
    }
}

/// Is the upstream, until the standard input ends.
pub(crate) fn serve_upstream() -> ! {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.await.expect("a port");
        println!("{}", listener.local_addr().expect("its address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                // A peer that leaves in the middle is no concern of anybody here.
                let _ = serve(stream).await;
            });
        }
    })
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let of = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
             mcp-session-id: 4f0c3c1e9d5b4a0f\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let tokens = format!(
        r#"{{"access_token":"{}","token_type":"Bearer","expires_in":36000}}"#,
        bearer()
    );
    let proof = format!("Bearer {}", bearer());
    let answer = of("200 OK", ANSWER);
    let streamed = streams::answer();
    let mut buffer = Vec::with_capacity(4096);
    while let Some(head) = wire::read(&mut stream, &mut buffer).await? {
        let (head, body) = buffer.split_at(head.length);
        if head.starts_with(b"POST /token ") {
            stream.write_all(of("200 OK", &tokens).as_bytes()).await?;
        } else if wire::field(head, "authorization") != Some(&proof) {
            let refused = of("401 Unauthorized", "{}");
            stream.write_all(refused.as_bytes()).await?;
        } else if head.starts_with(b"GET ") {
            let event = String::from_utf8_lossy(EVENT);
            let stream_head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                 cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
                event.len()
            );
            stream.write_all(stream_head.as_bytes()).await?;
        } else if body == streams::CALL.as_bytes() {
            stream.write_all(&streamed).await?;
        } else {
            stream.write_all(answer.as_bytes()).await?;
        }
    }
    Ok(())
}

/// A daemon: the one that was built with this, or another one to compare it with.
pub(crate) struct Daemon {
    name: String,
    running: Running,
    _home: tempfile::TempDir,
    address: SocketAddr,
    /// The credentials of its sessions.
    pub(crate) bearers: Vec<String>,
}

impl Daemon {
    /// A daemon that is signed in to `upstream` and has `sessions` sessions.
    pub(crate) fn start(upstream: &Upstream, sessions: u64) -> Self {
        let built = Path::new(env!("CARGO_BIN_EXE_doorward"));
        Self::of(built, "doorward", upstream, sessions)
    }

    /// Those that the environment names, with a path each: earlier builds, or the same with
    /// something else in it.
    pub(crate) fn others(upstream: &Upstream) -> Vec<Self> {
        let paths = std::env::var_os("DOORWARD_BESIDE").unwrap_or_default();
        let start = |path: PathBuf| {
            // In full: the file of every build has the same name.
            assert!(
                path.is_file(),
                "DOORWARD_BESIDE: {} is no file",
                path.display()
            );
            Self::of(&path, &path.to_string_lossy(), upstream, AGENTS)
        };
        let named = std::env::split_paths(&paths).filter(|path| path != Path::new(""));
        named.map(start).collect()
    }

    fn of(program: &Path, name: &str, upstream: &Upstream, sessions: u64) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let state = home.path().join("state");
        ensure_private_dir(&state).expect("a private directory");
        let url = format!("http://{}/mcp", upstream.address);
        let config = format!(
            "[store]\nkind = \"file\"\n[log]\nlevel = \"warn\"\n\
             [upstreams.up]\nurl = \"{url}\"\nmax_concurrency = 1024\n\
             [upstreams.off]\nurl = \"{url}\"\nmax_concurrency = 1024\nkeep_alive = \"off\"\n"
        );
        std::fs::write(state.join("config.toml"), config).expect("a file");
        let bearers = runtime().block_on(fill(&state, upstream, url, sessions));
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", home.path())
            .arg("--state-dir")
            .arg(&state)
            .args(["serve", "--ready-fd", "1", "--port", "0"]);
        let (running, line) = Running::start(command);
        let ready: serde_json::Value = serde_json::from_str(&line).expect("a ready line");
        let address = ready["url"]
            .as_str()
            .and_then(|url| url.strip_prefix("http://")?.parse().ok());
        Self {
            name: name.to_owned(),
            running,
            _home: home,
            address: address.expect("its address"),
            bearers,
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            name: self.name.clone(),
            address: self.address,
            path: "/u/up",
            bearers: self.bearers.clone(),
            pid: Some(self.running.child.id()),
        }
    }

    /// The same daemon, with trouble told as it is.
    pub(crate) fn without_keep_alive(&self) -> Target {
        Target {
            name: "keep_alive off".to_owned(),
            path: "/u/off",
            ..self.target()
        }
    }
}

/// What a sign-in and `sessions` mints would have left in the store; their credentials.
async fn fill(state: &Path, upstream: &Upstream, url: String, sessions: u64) -> Vec<String> {
    let paths = Paths::resolve(Some(state), &Environment::default()).expect("paths");
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let store = Store::open(&paths, StoreKind::File(None), "doorward", clock, random);
    let store = store.await.expect("a store");
    let now = SystemClock.now();
    let issuer = format!("http://{}", upstream.address);
    for name in ["up", "off"] {
        let account = name.parse().expect("a name");
        let grant = records::sign_in(&account, &issuer, &url, "refresh", now);
        store.put_grant(grant).await.expect("kept");
    }
    let mut bearers = Vec::new();
    for number in 0..sessions {
        let (token, record) = records::session(number, now);
        let session = SessionRecord {
            label: Some(format!("agent {number}")),
            ..record
        };
        store.put_session(session).await.expect("kept");
        bearers.push(token.expose().to_owned());
    }
    store.close().await.expect("closed");
    bearers
}

/// nginx with one worker.
pub(crate) struct Nginx {
    running: Running,
    _home: tempfile::TempDir,
    address: SocketAddr,
    bearers: Vec<String>,
}

impl Nginx {
    /// The same service from a map, or why not.
    pub(crate) fn start(upstream: &Upstream, bearers: &[String]) -> Result<Self, String> {
        let program = find("nginx").ok_or("it is not installed; run tests/setup --benches")?;
        let home = tempfile::tempdir().expect("a directory");
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a port");
        let file = home.path().join("nginx.conf");
        let config = nginx_config(home.path(), address, upstream.address, bearers);
        std::fs::write(&file, config).expect("a file");
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(home.path())
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let running = Running {
            child,
            _stdin: None,
        };
        let nginx = Self {
            running,
            _home: home,
            address,
            bearers: bearers.to_owned(),
        };
        if !runtime().block_on(listens(address)) {
            return Err("it did not start".to_owned());
        }
        Ok(nginx)
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            name: "nginx".to_owned(),
            address: self.address,
            path: "/u/up",
            bearers: self.bearers.clone(),
            pid: Some(self.running.child.id()),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// nginx tells nobody when it is ready.
async fn listens(address: SocketAddr) -> bool {
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// One process, so that its figures are those of its only worker. Answers are not buffered:
/// event streams would be late.
fn nginx_config(home: &Path, own: SocketAddr, upstream: SocketAddr, bearers: &[String]) -> String {
    let home = home.display();
    let proof = bearer();
    let map: Vec<_> = bearers
        .iter()
        .map(|bearer| format!("\"Bearer {bearer}\" \"Bearer {proof}\";\n"))
        .collect();
    let map = map.concat();
    format!(
        r#"
daemon off;
master_process off;
worker_processes 1;
pid {home}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    map_hash_bucket_size 512;
    map $http_authorization $proof {{
        default "";
        {map}
    }}
    upstream up {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {own} backlog=2048;
        keepalive_requests 1000000000;
        location = /u/up {{
            if ($proof = "") {{ return 401; }}
            proxy_pass http://up/mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization $proof;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"#
    )
}
