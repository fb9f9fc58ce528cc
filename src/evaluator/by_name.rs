//! A map by name for what is looked up in every evaluation.

use std::collections::HashMap;

/// What is looked up in every evaluation.
pub(crate) type ByName<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;
