//! A server of raw bytes for tests: it answers exactly what it is told, however broken.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    /// A header field, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (there, value) = line.split_once(':')?;
            there.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A form field.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let fields: Vec<String> = url::form_urlencoded::parse(self.body.as_bytes())
            .filter(|(there, _)| there == name)
            .map(|(_, value)| value.into_owned())
            .collect();
        assert!(fields.len() <= 1, "{name} is repeated");
        fields.into_iter().next()
    }
}

/// What the server does with a request.
pub(crate) enum Deed {
    /// Writes this and closes the connection.
    Say(String),
    /// Writes this, and then a byte now and then for as long as somebody reads.
    Drip(String),
    /// Closes the connection with a reset.
    Reset,
    /// Never answers.
    Hang,
}

/// A running server.
pub(crate) struct Fake {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Starts one that lives as long as the test's runtime.
    pub(crate) async fn start(deed: impl Fn(&Url, &Seen) -> Deed + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url: Url = format!("http://{address}/").parse().expect("a URL");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (base, log) = (url.clone(), Arc::clone(&seen));
        actix_rt::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(request) = read(&mut socket).await else {
                    continue;
                };
                let deed = deed(&base, &request);
                log.lock().expect("a test").push(request);
                match deed {
                    Deed::Say(bytes) => {
                        let _ = socket.write_all(bytes.as_bytes()).await;
                    }
                    Deed::Drip(bytes) => {
                        let _ = socket.write_all(bytes.as_bytes()).await;
                        actix_rt::spawn(async move {
                            let pause = std::time::Duration::from_millis(20);
                            while socket.write_all(b" ").await.is_ok() {
                                tokio::time::sleep(pause).await;
                            }
                        });
                    }
                    Deed::Reset => {
                        let _ = socket.set_zero_linger();
                    }
                    Deed::Hang => {
                        actix_rt::spawn(async move {
                            let mut rest = [0; 1];
                            let _ = socket.read(&mut rest).await;
                        });
                    }
                }
            }
        });
        Self { url, seen }
    }

    /// An address on it.
    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).expect("a path")
    }

    /// What came, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a test").clone()
    }

    /// The targets of what came, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.target).collect()
    }
}

/// An answer with a length.
pub(crate) fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Deed {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (length, fields) = (body.len(), fields.concat());
    Deed::Say(format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    ))
}

/// A JSON answer.
pub(crate) fn json(status: u16, document: &serde_json::Value) -> Deed {
    let kind = [("Content-Type", "application/json")];
    answer(status, &kind, &document.to_string())
}

async fn read(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let mut words = head.split_ascii_whitespace();
        let seen = Seen {
            method: words.next()?.to_owned(),
            target: words.next()?.to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let length = seen.header("content-length").unwrap_or("0");
        if body.len() >= length.parse::<usize>().ok()? {
            return Some(seen);
        }
    }
}
