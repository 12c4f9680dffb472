//! Events of a `text/event-stream`, as they come (WHATWG HTML §9.2.6).

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its id, where it has one.
    pub(super) id: Option<String>,
    /// Its data; empty for events that carry only an id.
    pub(super) data: Vec<u8>,
}

/// Collects events from chunks.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    has_data: bool,
}

impl Events {
    /// The events that `chunk` completes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<Event> {
        let mut done = Vec::new();
        for byte in chunk {
            let second_half = self.after_cr && *byte == b'\n';
            self.after_cr = *byte == b'\r';
            match byte {
                b'\n' if second_half => {}
                b'\r' | b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    done.extend(self.end_of(&line));
                }
                byte => self.line.push(*byte),
            }
        }
        done
    }

    /// How much of an event is held that is not complete.
    pub(super) fn held(&self) -> usize {
        self.line.len() + self.event.data.len()
    }

    fn end_of(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let has_data = std::mem::take(&mut self.has_data);
            return (has_data || event.id.is_some()).then_some(event);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.event.data.push(b'\n');
                }
                self.has_data = true;
                self.event.data.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => {
                self.event.id = Some(String::from_utf8_lossy(value).into_owned());
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(chunks: &[&str]) -> Vec<(Option<String>, String)> {
        let mut events = Events::default();
        let fed = chunks
            .iter()
            .flat_map(|chunk| events.feed(chunk.as_bytes()));
        fed.map(|event| (event.id, String::from_utf8(event.data).expect("text")))
            .collect()
    }

    #[test]
    fn data_and_ids_are_collected_and_comments_are_not() {
        let told = all(&[
            ": hi\r\n\r\nid: 7\nevent: message\ndata: a\ndata:b\n\n",
            "id: 8\ndata:\n\ndata: x",
        ]);
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [(id("7"), "a\nb".to_owned()), (id("8"), String::new())]
        );
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_chunks_does_not_matter(
            text in "(data: |id: |[ab:]|\r|\n|\r\n){0,24}",
            cut in 0_usize..60,
        ) {
            let cut = cut.min(text.len());
            prop_assert_eq!(all(&[&text]), all(&[&text[..cut], &text[cut..]]));
        }
    }
}
