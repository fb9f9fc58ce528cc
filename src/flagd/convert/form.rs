//! What the values of an evaluation context are converted to.
//!
//! The resolver `rpc` sends a context as protobuf, and evaluation in this process
//! reads it as JSON. [`Form`] lets one traversal of the SDK's values make both, so
//! that the same fields are valid, with the same errors, for every resolver.

use open_feature::EvaluationError;
#[cfg(feature = "in-process")]
use serde_json::{Map, Value as Json};

use crate::flagd::wire::writer::Writer;

type Result = std::result::Result<(), EvaluationError>;

/// Receives one value and represents it in its own way: as bytes of protobuf for the
/// wire, or as JSON for evaluation in this process.
///
/// Exactly one method is called for a value. Those for arrays and objects pass a
/// fresh form for each item or field to `each`, which does the same with it. An
/// error of `each` is returned, and what was made so far is then of no use.
pub(crate) trait Form {
    fn null(&mut self);
    fn boolean(&mut self, value: bool);
    /// `value` must be finite: JSON has no other numbers.
    fn number(&mut self, value: f64);
    fn text(&mut self, value: &str);
    /// `each` writes an item to the form that it is given.
    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        each: impl FnMut(T, &mut Self) -> Result,
    ) -> Result;
    /// `each` writes the value of a field to the form that it is given. Names must
    /// be unique.
    fn object<'n, T>(
        &mut self,
        fields: impl Iterator<Item = (&'n String, T)>,
        each: impl FnMut(&'n str, T, &mut Self) -> Result,
    ) -> Result;
}

/// Writes the content of a [`google.protobuf.Value`], a message with one of these
/// fields:
///
/// ```text
/// 1 null_value    0                      varint
/// 2 number_value  an f64                 64 bits
/// 3 string_value  UTF-8                  length-delimited
/// 4 bool_value    0 or 1                 varint
/// 5 struct_value  map<string, Value> 1   message
/// 6 list_value    repeated Value 1       message
/// ```
///
/// A value that is the default of its type (0, `false`, the empty string) is
/// written all the same: in a `oneof`, the field that is present says the type.
///
/// [`google.protobuf.Value`]: https://protobuf.dev/reference/protobuf/google.protobuf/#value
impl Form for Writer {
    fn null(&mut self) {
        self.varint(1, 0);
    }

    fn boolean(&mut self, value: bool) {
        self.varint(4, value.into());
    }

    fn number(&mut self, value: f64) {
        self.double(2, value);
    }

    fn text(&mut self, value: &str) {
        self.text(3, value);
    }

    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut each: impl FnMut(T, &mut Self) -> Result,
    ) -> Result {
        self.message(6, |list| {
            for item in items {
                list.message(1, |value| each(item, value))?;
            }
            Ok(())
        })
    }

    fn object<'n, T>(
        &mut self,
        fields: impl Iterator<Item = (&'n String, T)>,
        mut each: impl FnMut(&'n str, T, &mut Self) -> Result,
    ) -> Result {
        self.message(5, |object| {
            for (name, value) in fields {
                object.entry(1, name, |writer| each(name, value, writer))?;
            }
            Ok(())
        })
    }
}

/// Replaces itself with the value, whatever it was before.
#[cfg(feature = "in-process")]
impl Form for Json {
    fn null(&mut self) {
        *self = Self::Null;
    }

    fn boolean(&mut self, value: bool) {
        *self = Self::Bool(value);
    }

    fn number(&mut self, value: f64) {
        *self = Self::from(value);
    }

    fn text(&mut self, value: &str) {
        *self = Self::from(value);
    }

    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut each: impl FnMut(T, &mut Self) -> Result,
    ) -> Result {
        let made = items.map(|item| {
            let mut made = Self::Null;
            each(item, &mut made).map(|()| made)
        });
        *self = Self::Array(made.collect::<std::result::Result<_, _>>()?);
        Ok(())
    }

    fn object<'n, T>(
        &mut self,
        fields: impl Iterator<Item = (&'n String, T)>,
        mut each: impl FnMut(&'n str, T, &mut Self) -> Result,
    ) -> Result {
        let made = fields.map(|(name, value)| {
            let mut made = Self::Null;
            each(name, value, &mut made).map(|()| (name.clone(), made))
        });
        *self = Self::Object(made.collect::<std::result::Result<Map<_, _>, _>>()?);
        Ok(())
    }
}
