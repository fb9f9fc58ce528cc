//! What an evaluation reads of its caller.
//!
//! The evaluation context is a trait and not a type, because each caller has its
//! own: the SDK's context in a provider, protobuf's `Struct` or JSON in a server,
//! a `serde_json` map in a program that evaluates by itself. A rule usually reads
//! one or two fields; converting the rest would be wasted.

use std::fmt;

use serde_json::{Map, Value};

/// The fields that a targeting rule may read; also an object within a context.
///
/// The evaluation context of the [OpenFeature
/// specification](https://openfeature.dev/specification/sections/evaluation-context),
/// with the targeting key as the field `targetingKey`. The evaluator adds the
/// field `$flagd`, with `flagKey` and `timestamp`; a field of that name in the
/// context is never read.
///
/// A rule reads a field where it is. The context as a whole is converted only if
/// a rule reads all of it, as `{"var": ""}` does.
///
/// It is implemented for [`serde_json::Map`], which also serves as the empty
/// context:
///
/// ```
/// use flagstaff::evaluator::FlagSet;
/// use serde_json::{Map, json};
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {"greeting": {
///         "variants": {"de": "Hallo", "en": "Hello"},
///         "defaultVariant": "en",
///         "targeting": {"var": "language"}
///     }}}"#,
/// )?;
/// let context = Map::from_iter([("language".to_owned(), json!("de"))]);
/// assert_eq!(flags.evaluate("greeting", &context).string(), Ok(Some("Hallo")));
/// assert_eq!(flags.evaluate("greeting", &Map::new()).string(), Ok(Some("Hello")));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
///
/// Any type becomes a context once it can look up a field and visit all of them:
///
/// ```
/// use flagstaff::evaluator::{Context, FlagSet, ValueRef};
///
/// struct Visitor {
///     id: String,
///     age: u8,
/// }
///
/// impl Context for Visitor {
///     fn get(&self, name: &str) -> Option<ValueRef<'_>> {
///         match name {
///             "targetingKey" => Some(ValueRef::String(&self.id)),
///             "age" => Some(ValueRef::Number(self.age.into())),
///             _ => None,
///         }
///     }
///
///     fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
///         for name in ["targetingKey", "age"] {
///             self.get(name).into_iter().for_each(|value| visit(name, value));
///         }
///     }
/// }
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {"wine-list": {
///         "variants": {"on": true, "off": false},
///         "defaultVariant": "off",
///         "targeting": {"if": [{">=": [{"var": "age"}, 18]}, "on"]}
///     }}}"#,
/// )?;
/// let adult = Visitor { id: "user-1".to_owned(), age: 44 };
/// assert_eq!(flags.evaluate("wine-list", &adult).boolean(), Ok(Some(true)));
/// let child = Visitor { age: 7, ..adult };
/// assert_eq!(flags.evaluate("wine-list", &child).boolean(), Ok(Some(false)));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
///
/// An implementation must give the same fields to both methods, and the same each
/// time during one evaluation: a variable that a rule reads more than once may be
/// looked up only once.
pub trait Context {
    /// The value of a field, or `None` if there is no such field.
    ///
    /// The name is a single name and not a path: for `{"var": "user.role"}`, the
    /// context is asked for `user`, and the object that it returns for `role`. A
    /// rule cannot tell `None` from [`ValueRef::Null`] when it reads a variable.
    fn get(&self, name: &str) -> Option<ValueRef<'_>>;

    /// Calls `visit` with the name and the value of each field, in any order.
    ///
    /// It is called where a rule reads the whole object, as `{"var": ""}` does,
    /// and where an object is counted or written as JSON.
    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>));
}

/// An array within a [`Context`].
///
/// Arrays of JSON need no implementation: [`ValueRef::Json`] holds them. This is
/// for arrays of another form, such as those of protobuf, that are not to be
/// converted before a rule reads them.
///
/// ```
/// use flagstaff::evaluator::{Context, FlagSet, Items, ValueRef};
///
/// struct Roles(Vec<String>);
///
/// impl Items for Roles {
///     fn count(&self) -> usize {
///         self.0.len()
///     }
///
///     fn get(&self, index: usize) -> Option<ValueRef<'_>> {
///         self.0.get(index).map(|role| ValueRef::String(role))
///     }
/// }
///
/// struct User {
///     roles: Roles,
/// }
///
/// impl Context for User {
///     fn get(&self, name: &str) -> Option<ValueRef<'_>> {
///         (name == "roles").then_some(ValueRef::List(&self.roles))
///     }
///
///     fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
///         visit("roles", ValueRef::List(&self.roles));
///     }
/// }
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {"admin-page": {
///         "variants": {"on": true, "off": false},
///         "defaultVariant": "off",
///         "targeting": {"if": [{"in": ["admin", {"var": "roles"}]}, "on"]}
///     }}}"#,
/// )?;
/// let user = User { roles: Roles(vec!["editor".to_owned(), "admin".to_owned()]) };
/// assert_eq!(flags.evaluate("admin-page", &user).boolean(), Ok(Some(true)));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
pub trait Items {
    /// The number of items.
    fn count(&self) -> usize;

    /// The item at a place, counted from 0; `None` beyond the last.
    fn get(&self, index: usize) -> Option<ValueRef<'_>>;
}

/// A value of a [`Context`], borrowed from it where possible.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// Null, which rules do not distinguish from a field that does not exist.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number of any kind: flagd has only 64-bit floats.
    Number(f64),
    /// A string.
    String(&'a str),
    /// Any JSON value, including arrays and objects.
    Json(&'a Value),
    /// An array that is read item by item.
    List(&'a dyn Items),
    /// An object that is read field by field.
    Object(&'a dyn Context),
    /// A value that the context had to build, for what it cannot lend.
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
