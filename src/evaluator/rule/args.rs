//! The evaluated arguments of an operator.

use crate::evaluator::value::{Fail, Value};

/// The evaluated arguments of an operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Args<'v, 'a> {
    List(&'v [Value<'a>]),
    /// What is no list: `{"!": true}`.
    Single(&'v Value<'a>),
}

impl<'v, 'a> Args<'v, 'a> {
    /// The arguments of an operator that takes a list only.
    pub(crate) fn list(self) -> Result<&'v [Value<'a>], Fail> {
        match self {
            Args::List(items) => Ok(items),
            Args::Single(_) => Err(Fail("the arguments are not an array")),
        }
    }
}

/// An argument that must be there.
pub(crate) fn argument<'v, 'a>(
    items: &'v [Value<'a>],
    index: usize,
) -> Result<&'v Value<'a>, Fail> {
    items.get(index).ok_or(Fail("an argument is missing"))
}
