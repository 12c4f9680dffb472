//! Where one event of a `text/event-stream` ends and the next has not begun: the only places at
//! which something may be put in between (WHATWG HTML §9.2.5).

use memchr::memchr2;

/// Splits a stream into lines, chunk by chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Lines {
    /// Gives `piece` what a chunk has of each line, and whether the line ends there.
    pub(super) fn pass(&mut self, chunk: &[u8], mut piece: impl FnMut(&[u8], bool)) {
        let mut rest = chunk;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else {
                piece(rest, false);
                return;
            };
            self.after_cr = rest[end] == b'\r';
            piece(&rest[..end], true);
            rest = &rest[end + 1..];
        }
    }
}

/// Follows the bytes of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// Nothing of an event has come since the last blank line.
    between: bool,
    /// Nothing has come since the last line end.
    fresh_line: bool,
    lines: Lines,
}

impl Edge {
    /// The start of a stream.
    pub(super) fn new() -> Self {
        Self {
            between: true,
            fresh_line: true,
            lines: Lines::default(),
        }
    }

    /// Takes note of a chunk.
    pub(super) fn pass(&mut self, chunk: &[u8]) {
        let mut lines = self.lines;
        lines.pass(chunk, |piece, ends| {
            if !piece.is_empty() {
                self.between = false;
                self.fresh_line = false;
            }
            if ends {
                self.between = self.fresh_line;
                self.fresh_line = true;
            }
        });
        self.lines = lines;
    }

    fn step(&mut self, byte: u8) {
        let second_half = self.lines.after_cr && byte == b'\n';
        self.lines.after_cr = byte == b'\r';
        match byte {
            b'\n' if second_half => {}
            b'\r' | b'\n' => {
                self.between = self.fresh_line;
                self.fresh_line = true;
            }
            _ => {
                self.between = false;
                self.fresh_line = false;
            }
        }
    }

    /// How much of `chunk` belongs to the event that the stream is in the midst of; `None` where
    /// the event goes on after it.
    pub(super) fn rest_of_event(mut self, chunk: &[u8]) -> Option<usize> {
        let end = chunk.iter().position(|byte| {
            self.step(*byte);
            self.between
        })?;
        let crlf = chunk[end..].starts_with(b"\r\n");
        Some(end + 1 + usize::from(crlf))
    }

    /// Whether the stream is between two events now.
    pub(super) fn is_between(self) -> bool {
        self.between
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(chunks: &[&str]) -> bool {
        let mut edge = Edge::new();
        for chunk in chunks {
            edge.pass(chunk.as_bytes());
        }
        edge.is_between()
    }

    #[test]
    fn px_keepalive_comment_boundary() {
        for whole in [
            "",
            "data: x\n\n",
            "data: x\r\n\r\n",
            "data: x\r\r",
            ":\n\n",
            "id: 1\n\n\n",
        ] {
            assert!(after(&[whole]), "{whole:?}");
        }
        for part in [
            "d",
            "data: x",
            "data: x\n",
            "data: x\r\n",
            "data: x\r",
            "a\n\nb\n",
            "é",
        ] {
            assert!(!after(&[part]), "{part:?}");
        }
        assert!(after(&["data: x\r\n", "\r", "\n"]));
        assert!(!after(&["data: x\r", "\n"]), "a split CRLF is one line end");
        assert!(after(&["data: x\n", "\n"]));
    }

    #[test]
    fn what_is_left_of_an_event_ends_with_its_blank_line() {
        let rest = |before: &str, chunk: &str| {
            let mut edge = Edge::new();
            edge.pass(before.as_bytes());
            edge.rest_of_event(chunk.as_bytes())
        };
        assert_eq!(rest("data: a", "b\n\ndata: c"), Some(3));
        assert_eq!(rest("data: a\r\n", "\r\ndata: c"), Some(2));
        assert_eq!(rest("data: a\r", "\n\r\nid: 2\r\n\r\n"), Some(3));
        assert_eq!(rest("data: a\n", "data: b\n"), None);
        assert_eq!(rest("data: a\n", "\n"), Some(1));
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_chunks_does_not_matter(
            text in "([a:]|\r|\n|\r\n){0,24}",
            cut in 0_usize..24,
        ) {
            let cut = cut.min(text.len());
            prop_assert_eq!(after(&[&text]), after(&[&text[..cut], &text[cut..]]));
            let bytes: Vec<_> = (0..text.len()).map(|at| &text[at..=at]).collect();
            prop_assert_eq!(after(&[&text]), after(&bytes));
        }
    }
}
