//! The map for what every evaluation looks up by name.
//!
//! The maps of flags and of variants are read in each evaluation and written only
//! while a definition is loaded, and their names are short: the speed of the hash
//! counts. The default hasher of the standard library resists names that were
//! chosen to collide, at a price. That is not needed here, because the names in a
//! map come from the definition, which the operator controls, and a request only
//! looks one up. foldhash is fast for short names, and seeds each map at random
//! all the same.

use std::collections::HashMap;

/// A map from names to values that is read in every evaluation.
///
/// The names are `Box<str>`, a word shorter than a `String`, because no name
/// grows once the definition is loaded.
pub(crate) type ByName<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;
