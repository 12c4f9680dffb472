//! What the parsers of JSON and YAML say about a text: which maps there are, and from where to
//! where each thing goes. The text itself is what keeps comments and blanks.

use std::ops::Range;

use serde_json::{Map as Object, Value};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// From where to where, its braces included. A map in block form goes from its first key to
    /// the last thing in it.
    pub(super) at: Range<usize>,
    /// What it is.
    pub(super) body: Body,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Keys with values.
    Map(Form, Vec<Pair>),
    /// Values in order.
    List(Vec<Node>),
    /// Anything else, by its meaning.
    Scalar(Value),
}

/// How a map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In braces, with commas.
    Braces,
    /// By lines and their indentation (YAML).
    Block,
    /// In a way that nothing is added to: with an anchor or a tag (YAML).
    Special,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// What the key means.
    pub(super) name: String,
    /// Where the key is.
    pub(super) key: Range<usize>,
    /// The value.
    pub(super) value: Node,
}

impl Node {
    /// The keys, where it is a map.
    pub(super) fn pairs(&self) -> Option<&[Pair]> {
        match &self.body {
            Body::Map(_, pairs) => Some(pairs),
            Body::List(_) | Body::Scalar(_) => None,
        }
    }

    /// The pair of this name; of several the last, which is the one that programs use.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Pair)> {
        let pairs = self.pairs()?.iter().enumerate();
        pairs.rev().find(|(_, pair)| pair.name == name)
    }

    /// What stands at `path`.
    pub(super) fn descend(&self, path: &[&str]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |node, name| Some(&node.find(name)?.1.value))
    }

    /// Its meaning alone.
    pub(super) fn meaning(&self) -> Value {
        match &self.body {
            Body::Map(_, pairs) => {
                let pairs = pairs.iter();
                let pairs = pairs.map(|pair| (pair.name.clone(), pair.value.meaning()));
                Value::Object(pairs.collect::<Object<_, _>>())
            }
            Body::List(items) => items.iter().map(Self::meaning).collect(),
            Body::Scalar(value) => value.clone(),
        }
    }
}
