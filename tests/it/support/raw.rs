//! Peers on plain sockets, for what no HTTP library can be made to do: each connection of the
//! fake upstream is a thread that runs a script, and the client writes and reads bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// After this long a test has failed: nothing here waits for time to pass.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

/// A message as it was on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// First line.
    pub(crate) start: String,
    /// Fields in order, names as written.
    pub(crate) fields: Vec<(String, String)>,
    /// Body after its framing was taken off.
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub(crate) whole: bool,
}

impl Message {
    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let matching = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(matching)
            .map(|field| field.1.as_str())
            .collect()
    }

    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        let word = self.start.split(' ').nth(1).unwrap_or_default();
        word.parse().unwrap_or_default()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON in {:?}", self.text()))
    }
}

/// One side of a connection.
pub(crate) struct Wire {
    reader: BufReader<TcpStream>,
    /// Which connection of its server it is, counted from zero.
    pub(crate) number: usize,
}

impl Wire {
    fn new(stream: TcpStream, number: usize) -> Self {
        stream
            .set_read_timeout(Some(WATCHDOG))
            .expect("a read timeout");
        stream
            .set_write_timeout(Some(WATCHDOG))
            .expect("a write timeout");
        stream.set_nodelay(true).expect("no delay");
        Self {
            reader: BufReader::new(stream),
            number,
        }
    }

    /// Connects.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).expect("a connection"), 0)
    }

    /// Writes all of it; `false` when the peer is gone.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.reader.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// The next head; `None` at the end of the connection.
    pub(crate) fn head(&mut self) -> Option<Message> {
        let mut message = Message::default();
        let mut line = String::new();
        while self.reader.read_line(&mut line).ok()? > 0 {
            let text = line.trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if message.start.is_empty() {
                message.start = text;
            } else if text.is_empty() {
                return Some(message);
            } else if let Some((name, value)) = text.split_once(':') {
                message
                    .fields
                    .push((name.to_owned(), value.trim().to_owned()));
            }
        }
        None
    }

    /// The next chunk of a chunked body; `Ok(None)` at its end, `Err` where it breaks off.
    pub(crate) fn chunk(&mut self) -> Result<Option<Vec<u8>>, ()> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).map_err(|_| ())? == 0 {
            return Err(());
        }
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| ())?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).map_err(|_| ())?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    /// Exactly `length` bytes, or fewer where the connection ends.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self
            .reader
            .by_ref()
            .take(length as u64)
            .read_to_end(&mut bytes);
        bytes
    }

    /// Reads the body of `message` by its framing.
    pub(crate) fn body(&mut self, message: &mut Message) {
        if message.all("transfer-encoding").contains(&"chunked") {
            loop {
                match self.chunk() {
                    Ok(Some(chunk)) => message.body.extend(chunk),
                    Ok(None) => break message.whole = true,
                    Err(()) => break,
                }
            }
        } else if let Some(length) = message.field("content-length") {
            let length = length.parse().expect("a length");
            message.body = self.take(length);
            message.whole = message.body.len() == length;
        } else {
            message.whole = true;
        }
    }

    /// The next message with its body.
    pub(crate) fn message(&mut self) -> Option<Message> {
        let mut message = self.head()?;
        if message.start.starts_with("HTTP/") && [204, 304].contains(&message.status()) {
            message.whole = true;
        } else {
            self.body(&mut message);
        }
        Some(message)
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.write(request);
        self.message().expect("an answer")
    }

    /// Waits for the peer to close; `true` when it did.
    pub(crate) fn closed(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.reader.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Closes with a reset: whatever is unread at the peer is lost.
    pub(crate) fn reset(self) {
        let socket = self.reader.get_ref();
        let linger = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        linger.expect("linger");
    }

    /// Says that nothing more is sent.
    pub(crate) fn finish(&mut self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
    }
}

/// A server whose connections run a script each.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Receiver<Message>,
}

impl Upstream {
    /// Runs `script` on every connection.
    pub(crate) fn scripted(script: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        Self::with_log(move |wire, _| script(wire))
    }

    /// Answers every request with `answer`, and keeps what it was asked.
    pub(crate) fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::with_log(move |mut wire, log| {
            while let Some(request) = wire.message() {
                let bytes = answer(&request);
                let _ = log.send(request);
                if !wire.write(bytes) {
                    return;
                }
            }
        })
    }

    /// Answers every request with its own body.
    pub(crate) fn echo() -> Self {
        Self::answering(|request| {
            let length = request.body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            [head.as_bytes(), &request.body].concat()
        })
    }

    fn with_log(
        script: impl Fn(Wire, std::sync::mpsc::Sender<Message>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, seen) = channel();
        let script = Arc::new(script);
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (script, log) = (Arc::clone(&script), log.clone());
                std::thread::spawn(move || script(Wire::new(stream, number), log));
            }
        });
        Self {
            address,
            connections,
            seen,
        }
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next request that it was asked.
    pub(crate) fn seen(&self) -> Message {
        self.seen
            .recv_timeout(WATCHDOG)
            .expect("a request upstream")
    }

    /// Whether it was asked anything that was not looked at yet.
    pub(crate) fn was_asked(&self) -> bool {
        self.seen.try_recv().is_ok()
    }

    /// All that it was asked and that was not looked at yet.
    pub(crate) fn all_seen(&self) -> Vec<Message> {
        self.seen.try_iter().collect()
    }

    /// Its URL with `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// An answer with a known length.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", "content-type: application/json\r\n", body)
}

/// An answer with a known length, a status and fields.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The head of an event stream.
pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
