//! An acknowledgement that an agent has had already: a subscription that is made again is
//! acknowledged by its server once more, and that must not reach the agent. Nothing else is
//! touched, and after it nothing is looked at.

use bytes::{Bytes, BytesMut};

use super::super::sse::Edge;
use crate::model::mcp::data_of_events;
use crate::model::mcp::standin::is_acknowledgement;

/// The longest first event that is waited for the end of.
const LONGEST: usize = 64 << 10;

/// Follows a stream from its start.
#[derive(Debug, Default)]
pub(super) struct Doubled {
    /// What has come of an event.
    begun: BytesMut,
    /// Whether the first message has come.
    over: bool,
}

impl Doubled {
    /// One of a stream that the agent has from its start.
    pub(super) fn none() -> Self {
        Self {
            over: true,
            ..Self::default()
        }
    }

    /// What goes on to the agent now that `chunk` has come.
    pub(super) fn pass(&mut self, chunk: Bytes) -> Bytes {
        if self.over {
            return chunk;
        }
        self.begun.extend_from_slice(&chunk);
        let mut told = BytesMut::new();
        while !self.over
            && let Some(end) = Edge::new().rest_of_event(&self.begun)
        {
            let event = self.begun.split_to(end);
            let data = data_of_events(&event).concat();
            // Signs of life say nothing.
            self.over = !data.is_empty();
            if !is_acknowledgement(data.as_bytes()) {
                told.unsplit(event);
            }
        }
        self.over |= self.begun.len() > LONGEST;
        if self.over {
            told.unsplit(std::mem::take(&mut self.begun));
        }
        told.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: &str = "event: message\ndata: {\"jsonrpc\":\"2.0\",\
         \"method\":\"notifications/subscriptions/acknowledged\",\"params\":{}}\n\n";
    const OTHER: &str = "data: {\"method\":\"notifications/tools/list_changed\"}\n\n";

    fn told(chunks: &[&str]) -> String {
        let mut doubled = Doubled::default();
        let told = chunks.iter().map(|chunk| {
            let chunk = Bytes::copy_from_slice(chunk.as_bytes());
            String::from_utf8(doubled.pass(chunk).to_vec()).expect("text")
        });
        told.collect()
    }

    #[test]
    fn only_the_first_message_of_a_stream_is_kept_back_and_only_that_one() {
        assert_eq!(told(&[FIRST]), "");
        assert_eq!(told(&[":\n\n", FIRST, OTHER]), format!(":\n\n{OTHER}"));
        let crlf = FIRST.replace('\n', "\r\n");
        assert_eq!(told(&[&crlf, OTHER]), OTHER);
        assert_eq!(told(&[OTHER, FIRST]), format!("{OTHER}{FIRST}"));
        let endless = format!("data: {}", "x".repeat(LONGEST));
        assert_eq!(told(&[&endless, OTHER]), format!("{endless}{OTHER}"));
        let mut none = Doubled::none();
        assert_eq!(none.pass(Bytes::from(FIRST)), FIRST);
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_chunks_does_not_matter(cut in 0_usize..200) {
            let text = format!("{FIRST}{OTHER}: x\n\ndata: y\n\n");
            let cut = cut.min(text.len());
            prop_assert_eq!(told(&[&text[..cut], &text[cut..]]), &text[FIRST.len()..]);
        }
    }
}
