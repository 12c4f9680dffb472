//! Lines and places in a text that stays as it is but for a few splices.

use std::ops::Range;

/// One change: these bytes give way to that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    at: Range<usize>,
    text: String,
}

impl Splice {
    pub(super) fn put(at: usize, text: impl Into<String>) -> Self {
        Self::swap(at..at, text)
    }

    pub(super) fn cut(at: Range<usize>) -> Self {
        Self::swap(at, "")
    }

    pub(super) fn swap(at: Range<usize>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { at, text }
    }
}

/// `text` with the splices, which do not overlap.
pub(super) fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| (splice.at.start, splice.at.end));
    let mut new = String::with_capacity(text.len() + 256);
    let mut from = 0;
    for splice in splices {
        new.push_str(&text[from..splice.at.start]);
        new.push_str(&splice.text);
        from = splice.at.end;
    }
    new.push_str(&text[from..]);
    new
}

/// The end of lines as the text has it first.
pub(super) fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Where the line of `at` begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the line of `at` ends, before its newline.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..]
        .find('\n')
        .map_or(text.len(), |newline| at + newline);
    if end > at && text[..end].ends_with('\r') {
        end - 1
    } else {
        end
    }
}

/// Where the newline in front of the line that begins at `start` begins.
pub(super) fn newline_before(text: &str, start: usize) -> usize {
    let before = &text[..start];
    let cut = before.strip_suffix('\n').unwrap_or(before);
    cut.strip_suffix('\r').unwrap_or(cut).len()
}

/// The blanks with which the line of `at` begins.
pub(super) fn indent(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// By how much the text indents.
pub(super) fn unit(text: &str) -> &str {
    let indented = text.lines().find_map(|line| {
        let rest = line.trim_start_matches([' ', '\t']);
        let blanks = &line[..line.len() - rest.len()];
        (!blanks.is_empty() && rest.starts_with(['"', '}', ']', '/'])).then_some(blanks)
    });
    indented.unwrap_or("  ")
}

/// Whether nothing can be seen.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Line and column, from 1, of a byte.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start(before, before.len())..].chars().count() + 1;
    (line, column)
}
