//! From what `saphyr-parser` reports to a tree with places.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, SpannedEventReceiver};
use serde_json::Value;

use crate::connect::format::Refused;
use crate::connect::tree::{Body, Form, Node, Pair};

/// Builds a tree from what the parser reports.
struct Builder<'a> {
    text: &'a str,
    /// Where each character begins; the parser counts characters.
    bytes: Vec<usize>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: Vec<usize>,
}

/// A collection whose end has not come.
struct Open {
    map: bool,
    form: Form,
    start: usize,
    nodes: Vec<Node>,
}

impl Builder<'_> {
    fn byte(&self, character: usize) -> usize {
        self.bytes
            .get(character)
            .copied()
            .unwrap_or(self.text.len())
    }

    fn begin(&mut self, map: bool, span: Span, special: bool) {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        let form = if special {
            Form::Special
        } else if self.text[start..end].starts_with(['{', '[']) {
            Form::Braces
        } else {
            Form::Block
        };
        self.open.push(Open {
            map,
            form,
            start,
            nodes: Vec::new(),
        });
    }

    fn end(&mut self, span: Span) {
        let Some(open) = self.open.pop() else {
            return;
        };
        let at = self.byte(span.start.index());
        let last = open.nodes.last().map_or(open.start, |node| node.at.end);
        let end = match open.form {
            Form::Braces => at + 1,
            // Where a flow collection with an anchor ends is told by its last bracket.
            Form::Special if self.text[at..].starts_with(['}', ']']) => at + 1,
            Form::Block | Form::Special => last,
        };
        let body = if open.map {
            Body::Map(open.form, pairs(self.text, open.nodes))
        } else {
            Body::List(open.nodes)
        };
        self.add(Node {
            at: open.start..end,
            body,
        });
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => {
                self.root.get_or_insert(node);
            }
        }
    }
}

/// Keys and values, which come by turns.
fn pairs(text: &str, nodes: Vec<Node>) -> Vec<Pair> {
    let mut nodes = nodes.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        let name = match &key.body {
            Body::Scalar(Value::String(name)) => name.clone(),
            _ => format!("? {}", &text[key.at.clone()]),
        };
        pairs.push(Pair {
            name,
            key: key.at,
            value,
        });
    }
    pairs
}

impl<'input> SpannedEventReceiver<'input> for Builder<'_> {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        match event {
            Event::DocumentStart(_) => self.documents.push(start),
            Event::MappingStart(anchor, tag) => self.begin(true, span, anchor > 0 || tag.is_some()),
            Event::SequenceStart(anchor, tag) => {
                self.begin(false, span, anchor > 0 || tag.is_some());
            }
            Event::MappingEnd | Event::SequenceEnd => self.end(span),
            Event::Scalar(text, style, _, _) => {
                let seen = start + self.text[start..end].trim_end().len();
                let nothing = style == ScalarStyle::Plain && text.is_empty();
                let value = if nothing {
                    Value::Null
                } else {
                    Value::from(text.as_ref())
                };
                self.add(Node {
                    at: start..seen,
                    body: Body::Scalar(value),
                });
            }
            Event::Alias(of) => self.add(Node {
                at: start..end,
                body: Body::Scalar(Value::from(format!("*{of}"))),
            }),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
}

/// The value of the text; nothing where it holds nothing but blanks and comments.
pub(super) fn tree(text: &str) -> Result<Option<Node>, Refused> {
    let mut builder = Builder {
        text,
        bytes: text.char_indices().map(|(at, _)| at).collect(),
        open: Vec::new(),
        root: None,
        documents: Vec::new(),
    };
    let read = Parser::new_from_str(text).load(&mut builder, true);
    read.map_err(|error| {
        let at = builder.byte(error.marker().index());
        Refused::unreadable(text, at, error.info())
    })?;
    match builder.documents.get(1) {
        Some(second) => Err(Refused::form(
            text,
            *second,
            "a second document begins here",
        )),
        None => Ok(builder
            .root
            .filter(|root| root.body != Body::Scalar(Value::Null))),
    }
}
