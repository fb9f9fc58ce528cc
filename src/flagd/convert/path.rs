//! Where a value lies in a tree of objects and lists.

use std::fmt;

/// How many characters of a path a message shows.
pub(crate) const MAX_SHOWN: usize = 100;

/// The way to a value; it becomes text only in a message.
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
    /// How many objects and lists there are around the value, the root not counted.
    pub(crate) nesting: usize,
}

#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    Field(&'a str),
    Element(usize),
}

impl<'a> Path<'a> {
    pub(crate) fn root(name: &'a str) -> Self {
        Path { parent: None, step: Step::Field(name), nesting: 0 }
    }

    pub(crate) fn then(&'a self, step: Step<'a>) -> Self {
        Path { parent: Some(self), step, nesting: self.nesting + 1 }
    }

    /// The path for a message, cut to a length that can be read.
    pub(crate) fn shown(&self) -> String {
        let mut path = self.to_string();
        if let Some((end, _)) = path.char_indices().nth(MAX_SHOWN) {
            path.truncate(end);
            path.push_str("...");
        }
        path
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Element(index) => write!(f, "[{index}]"),
            Step::Field(name) => {
                let dot = if self.parent.is_some() { "." } else { "" };
                write!(f, "{dot}{}", name.escape_debug())
            }
        }
    }
}
