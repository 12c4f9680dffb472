//! What a sign-in and a handshake leave behind.

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
}
