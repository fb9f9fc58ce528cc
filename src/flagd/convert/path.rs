//! The path of a value in a tree of objects and arrays, for messages such as
//! "context field `user.address[2].zip` is...".
//!
//! A path is a linked list on the stack of the recursive conversion: going one
//! level deeper costs a few words and no allocation, and nothing is formatted
//! unless there is an error.
//!
//! ```text
//! Path::root("user") <- then(Field("address")) <- then(Element(2)) <- then(Field("zip"))
//! ```

use std::fmt;

/// How many characters of a path a message shows. Names come from outside, and may
/// be of any length.
pub(crate) const MAX_SHOWN: usize = 100;

/// The path of a value. `Display` shows all of it; messages use
/// [`shown`](Self::shown).
pub(crate) struct Path<'a> {
    /// The path of the object or array that the value is in; none for the root.
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
    /// How many objects and arrays are around the value; 0 for the root. Used to
    /// bound the recursion.
    pub(crate) nesting: usize,
}

/// One step from a value to a value in it.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// To the field with this name. Control characters are escaped when it is shown.
    Field(&'a str),
    /// To the item at this index, counted from 0.
    Element(usize),
}

impl<'a> Path<'a> {
    /// The path of the outermost value: the name of a field, or `$`.
    pub(crate) fn root(name: &'a str) -> Self {
        Path { parent: None, step: Step::Field(name), nesting: 0 }
    }

    /// The path one step deeper.
    pub(crate) fn then(&'a self, step: Step<'a>) -> Self {
        Path { parent: Some(self), step, nesting: self.nesting + 1 }
    }

    /// The path for a message: at most [`MAX_SHOWN`] characters, followed by `...` if
    /// it was cut.
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
