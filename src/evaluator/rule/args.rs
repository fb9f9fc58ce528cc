//! The evaluated arguments of an operator.
//!
//! The language allows `{"!": true}` for `{"!": [true]}`. flagd does so for some
//! operators and fails for others, so each operator sees which of the two it was.

use crate::evaluator::value::{Fail, Value};

/// The evaluated arguments of an operator, whose number is not checked yet.
///
/// `'v` is the time of the call, and `'a` the lifetime of rule and context, from
/// which the values borrow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Args<'v, 'a> {
    /// An array: one that is written in the rule, or one that a rule or variable in
    /// its place returned, as in `{"+": {"var": "prices"}}`.
    List(&'v [Value<'a>]),
    /// A value that is not an array: `{"!": true}`.
    Single(&'v Value<'a>),
}

impl<'v, 'a> Args<'v, 'a> {
    /// The arguments of an operator that fails if they are not an array.
    pub(crate) fn list(self) -> Result<&'v [Value<'a>], Fail> {
        match self {
            Args::List(items) => Ok(items),
            Args::Single(_) => Err(Fail("the arguments are not an array")),
        }
    }
}

/// The argument at this index, or a failure if there are not so many.
pub(crate) fn argument<'v, 'a>(
    items: &'v [Value<'a>],
    index: usize,
) -> Result<&'v Value<'a>, Fail> {
    items.get(index).ok_or(Fail("an argument is missing"))
}
