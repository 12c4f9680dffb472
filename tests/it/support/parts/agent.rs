//! What a sign-in and a handshake leave behind.

use std::io::Read;
use std::net::TcpStream;

use super::{Daemon, open};

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
    pub(super) session: Option<String>,
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

    /// A stream of the session that has begun and says nothing more: it ends with the session only.
    pub(crate) fn listens(&self, daemon: &Daemon) -> TcpStream {
        let bearer = format!("Bearer {}", self.credential);
        let fields = [
            ("authorization", bearer.as_str()),
            ("accept", "text/event-stream"),
            ("mcp-session-id", self.session()),
        ];
        let mut stream = open("GET", &format!("{}/u/ev", daemon.url), &fields, "");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("its head");
        assert_eq!(&first, b"HTTP/1.0 200");
        stream
    }
}
