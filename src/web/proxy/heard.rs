//! Whether a stream of events has brought the answer to its request: an event whose data is a
//! JSON-RPC response, which is told from other messages by its members. Nothing of the stream is
//! kept.

use memchr::memchr2;

use super::sse::Lines;

/// The longest name of a member that matters, and one byte more.
const LONGEST: usize = 7;

/// Follows a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    lines: Lines,
    line: Line,
    json: Json,
    answered: bool,
}

/// Where in a line it is.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// At its start, after so many bytes of `data:`.
    Name(usize),
    Data,
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Name(0)
    }
}

/// Where in the data of an event it is.
#[derive(Clone, Debug, Default)]
struct Json {
    depth: u32,
    in_text: bool,
    escaped: bool,
    /// The text of the last string of the outermost object, as far as it matters.
    name: Vec<u8>,
    is_response: bool,
}

impl Heard {
    /// Takes note of a chunk.
    pub(super) fn pass(&mut self, chunk: &[u8]) {
        let mut lines = self.lines;
        lines.pass(chunk, |piece, ends| {
            self.add(piece);
            if ends {
                self.end_line();
            }
        });
        self.lines = lines;
    }

    fn add(&mut self, mut piece: &[u8]) {
        const DATA: &[u8] = b"data:";
        while let (Line::Name(at), Some((byte, rest))) = (self.line, piece.split_first()) {
            self.line = match DATA.get(at) {
                Some(wanted) if wanted == byte && at + 1 == DATA.len() => Line::Data,
                Some(wanted) if wanted == byte => Line::Name(at + 1),
                _ => Line::Other,
            };
            piece = rest;
        }
        if matches!(self.line, Line::Data) {
            self.json.pass(piece);
        }
    }

    fn end_line(&mut self) {
        if matches!(self.line, Line::Name(0)) {
            self.answered |= self.json.is_whole_response();
            self.json.begin();
        }
        self.line = Line::default();
    }

    /// Whether a whole event has brought it.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }
}

impl Json {
    /// The data of an event begins. The room for names stays.
    fn begin(&mut self) {
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        *self = Self {
            name,
            ..Self::default()
        };
    }

    fn pass(&mut self, mut rest: &[u8]) {
        while let Some((byte, after)) = rest.split_first() {
            let is_named = self.depth == 1 && self.name.len() < LONGEST;
            if !self.in_text {
                self.structure(*byte);
                rest = after;
            } else if self.escaped || is_named {
                self.text(*byte);
                rest = after;
            } else {
                // Nothing of the rest of it matters but where it ends.
                let Some(at) = memchr2(b'"', b'\\', rest) else {
                    return;
                };
                self.text(rest[at]);
                rest = &rest[at + 1..];
            }
        }
    }

    fn text(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_text = false,
            byte if self.depth == 1 && self.name.len() < LONGEST => self.name.push(byte),
            _ => {}
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_text = true;
                self.name.clear();
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            // Only the names of members come before a colon.
            b':' if self.depth == 1 => {
                self.is_response |= matches!(&self.name[..], b"result" | b"error");
            }
            _ => {}
        }
    }

    fn is_whole_response(&self) -> bool {
        self.is_response && self.depth == 0 && !self.in_text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answered(chunks: &[&str]) -> bool {
        let mut heard = Heard::default();
        for chunk in chunks {
            heard.pass(chunk.as_bytes());
        }
        heard.is_answered()
    }

    #[test]
    fn a_response_is_told_from_other_messages() {
        for response in [
            "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
            "event: message\r\nid: 7\r\ndata:{\"id\":1, \"error\" : {\"code\":1}}\r\n\r\n",
            "data: {\"result\":\ndata: {\"a\":\"}\\\"\"}}\n\n",
            ": x\n\ndata: {\"method\":\"m\"}\n\ndata: {\"result\":{}}\r\r",
        ] {
            assert!(answered(&[response]), "{response}");
        }
        for other in [
            "data: {\"method\":\"m\",\"params\":{\"result\":{}}}\n\n",
            "data: {\"method\":\"result\",\"id\":1}\n\n",
            "data: {\"method\":\"m\",\"params\":[\"error\"]}\n\n",
            "data: {\"resultType\":1,\"errors\":[]}\n\n",
            "id: 1\ndata:\n\n",
            "data: {\"result\":{}}\n",
            "data: {\"result\":{\n\n",
            "event: {\"result\":{}}\n\n",
            "dat: {\"result\":{}}\n\n",
            "",
        ] {
            assert!(!answered(&[other]), "{other}");
        }
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_chunks_does_not_matter(
            text in "(data:|[{}:,]|\"result\"|\"a\"|\"a\\\\\"longer one\"|\\\\|\r|\n|\r\n){0,24}",
            cut in 0_usize..24,
        ) {
            let cut = cut.min(text.len());
            prop_assert_eq!(answered(&[&text]), answered(&[&text[..cut], &text[cut..]]));
            let bytes: Vec<_> = (0..text.len()).map(|at| &text[at..=at]).collect();
            prop_assert_eq!(answered(&[&text]), answered(&bytes));
        }
    }
}
