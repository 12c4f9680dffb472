//! Whether a stream of events has brought the answer to its request: an event whose data is a
//! JSON-RPC response, which is told from other messages by its members. Followed byte by byte;
//! nothing of the stream is kept.

/// The longest name of a member that matters, and one byte more.
const LONGEST: usize = 7;

/// Follows a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    line: Line,
    after_cr: bool,
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
        const DATA: &[u8] = b"data:";
        for byte in chunk {
            let second_half = self.after_cr && *byte == b'\n';
            self.after_cr = *byte == b'\r';
            match (byte, self.line) {
                (b'\n', _) if second_half => {}
                (b'\r' | b'\n', line) => {
                    if matches!(line, Line::Name(0)) {
                        self.answered |= self.json.is_whole_response();
                        self.json = Json::default();
                    }
                    self.line = Line::default();
                }
                (byte, Line::Name(at)) if DATA.get(at) == Some(byte) => {
                    self.line = if at + 1 == DATA.len() {
                        Line::Data
                    } else {
                        Line::Name(at + 1)
                    };
                }
                (_, Line::Name(_)) => self.line = Line::Other,
                (byte, Line::Data) => self.json.pass(*byte),
                (_, Line::Other) => {}
            }
        }
    }

    /// Whether a whole event has brought it.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }
}

impl Json {
    fn pass(&mut self, byte: u8) {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                byte if self.depth == 1 && self.name.len() < LONGEST => self.name.push(byte),
                _ => {}
            }
            return;
        }
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
            text in "(data:|[{}:,]|\"result\"|\"a\"|\\\\|\r|\n|\r\n){0,24}",
            cut in 0_usize..24,
        ) {
            let cut = cut.min(text.len());
            prop_assert_eq!(answered(&[&text]), answered(&[&text[..cut], &text[cut..]]));
        }
    }
}
