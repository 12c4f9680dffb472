//! Putting a pair into braces and taking one out: objects of JSON, flow mappings of YAML, inline
//! tables of TOML. What stands between the pairs (blanks, commas, grammar) is looked through,
//! since no parser tells of it; it is never changed but for the one comma that a pair needs.

use std::ops::Range;

use super::text::{Splice, indent, is_blank, line_end, line_start, newline, newline_before, unit};

/// Whose braces they are: how comments are written in them, and whether lines may end in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// `// …` and `/* … */`
    Json,
    /// `# …`
    Yaml,
    /// `# …`, and all on one line, as every reader of TOML has it.
    Toml,
}

/// How a new pair is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout<'a> {
    /// On the line of the others.
    Inline,
    /// On lines of its own, which begin with these blanks.
    Lines(&'a str),
}

/// A pair in braces: from its key to the end of its value.
pub(super) type Place = Range<usize>;

/// Puts what `write` writes behind the last of `pairs` in the braces at `at`.
pub(super) fn put(
    text: &str,
    at: &Range<usize>,
    pairs: &[Place],
    grammar: Grammar,
    write: impl Fn(Layout<'_>) -> String,
) -> Vec<Splice> {
    let close = at.end - 1;
    let newline = newline(text);
    let Some(last) = pairs.last() else {
        return put_first(text, at, grammar, write);
    };
    let comma = comma(text, last.end..close, grammar);
    let start = line_start(text, last.start);
    let own_line = start > at.start && is_blank(&text[start..last.start]);
    let blanks = &text[start..last.start];
    let mut splices = Vec::new();
    let (from, after) = match comma {
        Some(comma) => (comma + 1, ","),
        None => (last.end, ""),
    };
    if comma.is_none() {
        splices.push(Splice::put(last.end, ","));
    }
    let end = end_of_line(text, from..close, grammar);
    if let Some(end) = end.filter(|_| own_line && grammar != Grammar::Toml) {
        let pair = write(Layout::Lines(blanks));
        splices.push(Splice::put(end, format!("{newline}{blanks}{pair}{after}")));
    } else {
        let pair = write(Layout::Inline);
        splices.push(Splice::put(from, format!(" {pair}{after}")));
    }
    splices
}

/// The first pair: nothing but blanks and comments stand in the braces.
fn put_first(
    text: &str,
    at: &Range<usize>,
    grammar: Grammar,
    write: impl Fn(Layout<'_>) -> String,
) -> Vec<Splice> {
    let newline = newline(text);
    let inside = at.start + 1..at.end - 1;
    let inner = &text[inside.clone()];
    let outer = indent(text, at.start);
    let blanks = format!("{outer}{}", unit(text));
    if is_blank(inner) {
        let new = match grammar {
            Grammar::Json if !all_on_one_line(text, at) => {
                let pair = write(Layout::Lines(&blanks));
                format!("{newline}{blanks}{pair}{newline}{outer}")
            }
            Grammar::Toml => format!(" {} ", write(Layout::Inline)),
            Grammar::Json | Grammar::Yaml => write(Layout::Inline),
        };
        return vec![Splice::swap(inside, new)];
    }
    let seen = at.start + 1 + inner.trim_end().len();
    let pair = if text[seen..inside.end].contains('\n') {
        let pair = write(Layout::Lines(&blanks));
        format!("{newline}{blanks}{pair}")
    } else {
        format!(" {}", write(Layout::Inline))
    };
    vec![Splice::put(seen, pair)]
}

/// Whether the text around empty braces is written without lines.
fn all_on_one_line(text: &str, at: &Range<usize>) -> bool {
    !text.trim_end().contains('\n') && !is_blank(&text[..at.start])
}

/// Takes the pair at `index` of `pairs` out of the braces at `at`, with one comma.
pub(super) fn cut(
    text: &str,
    at: &Range<usize>,
    pairs: &[Place],
    index: usize,
    grammar: Grammar,
) -> Vec<Splice> {
    let pair = &pairs[index];
    let close = at.end - 1;
    let bound = pairs.get(index + 1).map_or(close, |next| next.start);
    let comma_after = comma(text, pair.end..bound, grammar);
    let end = comma_after.map_or(pair.end, |comma| comma + 1);
    let start = line_start(text, pair.start);
    let own_line = start > at.start && is_blank(&text[start..pair.start]);
    let rest = line_end(text, end);
    let blanks_after = text[end..].len() - text[end..].trim_start_matches([' ', '\t']).len();
    let gone = if own_line && is_blank(&text[end..rest.max(end)]) && rest <= close {
        newline_before(text, start)..rest
    } else if own_line && is_blank(&text[end..close]) {
        newline_before(text, start)..end
    } else if own_line || index == 0 {
        pair.start..end + blanks_after
    } else {
        let before = text[..pair.start].trim_end_matches([' ', '\t']).len();
        before..end
    };
    let mut splices = Vec::new();
    if comma_after.is_none() && index > 0 {
        let before = comma(text, pairs[index - 1].end..pair.start, grammar);
        let before = before.filter(|comma| !gone.contains(comma));
        splices.extend(before.map(|comma| Splice::cut(comma..comma + 1)));
    }
    splices.push(Splice::cut(gone));
    splices
}

/// Where the comma is between two pairs, or between the last one and the brace.
pub(super) fn comma(text: &str, between: Range<usize>, grammar: Grammar) -> Option<usize> {
    let mut at = between.start;
    while at < between.end {
        if let Some(end) = comment(text, at, grammar) {
            at = end;
            continue;
        }
        let next = text[at..].chars().next()?;
        if next == ',' {
            return Some(at);
        }
        at += next.len_utf8();
    }
    None
}

/// Where what belongs to the line of `within.start` ends: behind its comments. Nowhere, where one
/// of them goes on on the next line.
fn end_of_line(text: &str, within: Range<usize>, grammar: Grammar) -> Option<usize> {
    let line = line_end(text, within.start);
    let mut at = within.start;
    loop {
        let rest = &text[at..line.max(at)];
        let seen = at + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if seen >= line.min(within.end) {
            // Blanks before the newline stay on their line; before the brace there is none.
            return Some(if line <= within.end { line } else { at });
        }
        match comment(text, seen, grammar) {
            Some(end) if end <= line => at = end,
            _ => return None,
        }
    }
}

/// The end of the comment that begins at `at`, its newline not included.
fn comment(text: &str, at: usize, grammar: Grammar) -> Option<usize> {
    let rest = &text[at..];
    let line = || Some(line_end(text, at));
    match grammar {
        Grammar::Json if rest.starts_with("//") => line(),
        Grammar::Json if rest.starts_with("/*") => Some(at + rest.find("*/")? + 2),
        Grammar::Yaml | Grammar::Toml if rest.starts_with('#') => line(),
        _ => None,
    }
}
