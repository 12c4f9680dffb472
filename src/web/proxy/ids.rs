//! The id of the last whole event of a stream (WHATWG HTML §9.2.6): where a stream that breaks can
//! go on from. Nothing else of the stream is kept.

use http::HeaderValue;

use super::sse::Lines;

/// The longest id that is kept.
const LONGEST: usize = 256;
/// The longest beginning of a line that is kept: a field name, a colon, a space and an id.
const LONGEST_LINE: usize = LONGEST + 4;

/// Follows the ids of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    /// The beginning of the present line.
    line: Vec<u8>,
    /// Whether the present line is longer than that.
    cut: bool,
    lines: Lines,
    /// The id of the event that is coming; that of the one before where it has none.
    coming: Option<Box<[u8]>>,
    /// The id of the last event that came.
    last: Option<Box<[u8]>>,
}

impl Ids {
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

    fn add(&mut self, piece: &[u8]) {
        let Some(first) = self.line.first().or(piece.first()) else {
            return;
        };
        // Of a line that is no id it matters only that there is one.
        let longest = if *first == b'i' { LONGEST_LINE } else { 1 };
        let room = longest - self.line.len();
        self.cut |= piece.len() > room;
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// What a stream may be asked to go on from, where something has been said of that.
    pub(super) fn last(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.last.as_deref()?).ok()
    }

    fn end_line(&mut self) {
        if self.line.is_empty() {
            self.last.clone_from(&self.coming);
        } else if let Some(rest) = self.line.strip_prefix(b"id") {
            let value = match rest {
                [] => Some(rest),
                [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
                // Another field, whose name begins like this.
                _ => None,
            };
            match value {
                Some(value) if value.contains(&0) => {}
                Some(value) => {
                    let usable = !value.is_empty() && value.len() <= LONGEST && !self.cut;
                    self.coming = usable.then(|| value.into());
                }
                None => {}
            }
        }
        self.line.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(chunks: &[&str]) -> Option<String> {
        let mut ids = Ids::default();
        for chunk in chunks {
            ids.pass(chunk.as_bytes());
        }
        let last = ids.last()?;
        Some(String::from_utf8_lossy(last.as_bytes()).into_owned())
    }

    #[test]
    fn the_id_of_the_last_whole_event_is_kept() {
        for (stream, id) in [
            ("id: 1\ndata: a\n\n", Some("1")),
            ("data: a\r\nid:x y\r\n\r\n", Some("x y")),
            ("id:  1\r\r", Some(" 1")),
            ("id: 1\n\nid: 2\n\n", Some("2")),
            ("id: 1\n\nid: 2\n", Some("1")),
            ("id: 1\n\ndata: no id\n\n", Some("1")),
            ("id: 1\n\nid:\n\n", None),
            ("id: 1\n\nid\n\n", None),
            ("id: 1\n\nid: a\0b\n\n", Some("1")),
            ("idle: 1\n\nids: 2\n\n Id: 3\n\n", None),
            ("data: id: 1\n\n: id: 2\n\n", None),
            ("id: \u{7f}\n\n", None),
            ("", None),
        ] {
            assert_eq!(after(&[stream]).as_deref(), id, "{stream:?}");
        }
        let longest = "x".repeat(LONGEST);
        let whole = format!("id: {longest}\n\n");
        assert_eq!(after(&[&whole]), Some(longest.clone()));
        let longer = format!("id: {longest}x\n\n");
        assert_eq!(after(&["id: 1\n\n", &longer]), None, "not the wrong one");
        let data = format!("id: 1\ndata: {}\n\n", longest.repeat(4));
        assert_eq!(after(&[&data]).as_deref(), Some("1"));
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_chunks_does_not_matter(
            text in "(id: ?|[a:]|\r|\n|\r\n){0,24}",
            cut in 0_usize..24,
        ) {
            let cut = cut.min(text.len());
            prop_assert_eq!(after(&[&text]), after(&[&text[..cut], &text[cut..]]));
            let bytes: Vec<_> = (0..text.len()).map(|at| &text[at..=at]).collect();
            prop_assert_eq!(after(&[&text]), after(&bytes));
        }
    }
}
