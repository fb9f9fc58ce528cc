//! The names of variables, such as `user.roles.0`, split into parts.
//!
//! A name is split at its dots. Each part is the name of a field where an object
//! is read, and an index where an array is: which of the two is known only from
//! the context, and so a [`Part`] holds both. The parts of a name that is written
//! in a rule are split when the rule is compiled, and not in each evaluation.
//!
//! ```text
//! "user.roles.0"  ->  user, roles, 0      "user..id"  ->  user, id      ""  ->  (the whole context)
//! ```

use std::sync::Arc;

use serde_json::Number;

use crate::evaluator::number;

/// The name of a variable, split into its parts. It is shared, because several
/// variables of a rule may have the same name. Without parts, it stands for the
/// whole context.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path(pub(crate) Arc<[Part]>);

/// One part of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    /// The name of the field, if this part is applied to an object.
    pub(crate) name: Box<str>,
    /// The index, if this part is applied to an array. `None` if no array has it.
    pub(crate) index: Option<usize>,
}

impl Path {
    /// Splits a name. Empty parts are ignored.
    pub(crate) fn new(name: &str) -> Self {
        let parts = name.split('.').filter(|part| !part.is_empty());
        Self(parts.map(|name| Part { name: name.into(), index: index(name) }).collect())
    }

    /// The name that a number stands for, by its text: `{"var": 1.5}` reads the
    /// field `5` of the field `1`.
    pub(crate) fn of_number(name: &Number) -> Self {
        Self::new(&number::plain(name.as_f64().unwrap_or(f64::NAN)))
    }
}

/// The index that a part of a name stands for in an array. What is not a number
/// is 0, as in flagd, so that `{"var": "roles.first"}` reads the first item.
/// `None` if it is negative or not finite.
pub(crate) fn index(name: &str) -> Option<usize> {
    usize::try_from(number::to_integer(number::parse(name).unwrap_or(0.0))).ok()
}
