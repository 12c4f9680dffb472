//! How lines end: an editor of another system may write all of them anew between `connect` and
//! `disconnect`, and what comes back then ends as they do.

use serde::{Deserialize, Serialize};

use super::record::{Kept, Ours, Was};

/// The end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineEnd {
    /// A newline.
    Unix,
    /// A carriage return and a newline.
    Dos,
}

impl LineEnd {
    /// That of the first line; nothing where there is but one.
    pub(super) fn of(text: &str) -> Option<Self> {
        let at = text.find('\n')?;
        Some(if text[..at].ends_with('\r') {
            Self::Dos
        } else {
            Self::Unix
        })
    }

    /// `text` with all of its lines ending so.
    pub(super) fn written(self, text: &str) -> String {
        let text = text.replace("\r\n", "\n");
        match self {
            Self::Unix => text,
            Self::Dos => text.replace('\n', "\r\n"),
        }
    }
}

impl Ours {
    /// What is remembered, as it stands in `text` by now.
    pub(super) fn as_in(&self, text: &str) -> Self {
        let now = LineEnd::of(text);
        let Some(end) = now.filter(|_| self.line_end.is_some() && self.line_end != now) else {
            return self.clone();
        };
        let mut ours = self.clone();
        ours.line_end = now;
        if let Was::Blank(text) = &mut ours.was {
            *text = end.written(text);
        }
        for held in ours.made.iter_mut().filter_map(|made| made.held.as_mut()) {
            *held = end.written(held);
        }
        for Kept { lead, before, .. } in &mut ours.entries {
            *lead = end.written(lead);
            *before = before.as_deref().map(|text| end.written(text));
        }
        ours
    }
}
