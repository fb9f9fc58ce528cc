//! What an evaluation reads of its caller.

use std::fmt;

use serde_json::{Map, Value};

/// The fields that a targeting rule may read; also an object inside of a context.
///
/// A rule reads fields where they stand: a context is never converted as a whole, unless a rule
/// asks for all of it (`{"var": ""}`).
pub trait Context {
    /// The field of this name, if there is one. The targeting key is the field `targetingKey`.
    fn get(&self, name: &str) -> Option<ValueRef<'_>>;

    /// Calls `visit` with each field.
    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>));
}

/// A list inside of a [`Context`].
pub trait Items {
    /// How many items there are.
    fn count(&self) -> usize;

    /// The item at this place, counted from 0.
    fn get(&self, index: usize) -> Option<ValueRef<'_>>;
}

/// A value of a [`Context`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Any number: flagd knows 64-bit floats only.
    Number(f64),
    /// Text.
    Text(&'a str),
    /// Any value, a list or an object among them.
    Json(&'a Value),
    /// A list.
    List(&'a dyn Items),
    /// An object.
    Object(&'a dyn Context),
    /// A value that the context had to make.
    Owned(Value),
}

impl fmt::Debug for dyn Context + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_map();
        self.each(&mut |name, value| {
            fields.entry(&name, &value);
        });
        fields.finish()
    }
}

impl fmt::Debug for dyn Items + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.count()).filter_map(|index| self.get(index))).finish()
    }
}

impl Context for Map<String, Value> {
    fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        Map::get(self, name).map(ValueRef::Json)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (name, value) in self {
            visit(name, ValueRef::Json(value));
        }
    }
}
