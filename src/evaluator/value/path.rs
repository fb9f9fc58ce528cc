//! Names of variables: `user.roles.0`.

use std::sync::Arc;

use serde_json::Number;

use crate::evaluator::number;

/// The name of a variable, split beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path(pub(crate) Arc<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) name: Box<str>,
    pub(crate) index: Option<usize>,
}

impl Path {
    pub(crate) fn new(name: &str) -> Self {
        let parts = name.split('.').filter(|part| !part.is_empty());
        Self(parts.map(|name| Part { name: name.into(), index: index(name) }).collect())
    }

    /// A number as a name: 1.5 is the field `5` of the field `1`.
    pub(crate) fn of_number(name: &Number) -> Self {
        Self::new(&number::plain(name.as_f64().unwrap_or(f64::NAN)))
    }
}

/// A name as the index of a list: one that is no number is 0.
pub(crate) fn index(name: &str) -> Option<usize> {
    usize::try_from(number::to_integer(number::parse(name).unwrap_or(0.0))).ok()
}
