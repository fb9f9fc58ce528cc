//! What the values of an evaluation context are turned into.

use open_feature::EvaluationError;
#[cfg(feature = "in-process")]
use serde_json::{Map, Value as Json};

use crate::flagd::wire::writer::Writer;

type Result = std::result::Result<(), EvaluationError>;

/// Takes one value, of which it makes its own form: protobuf's bytes for the wire, JSON for
/// evaluation in this process.
pub(crate) trait Form {
    fn null(&mut self);
    fn boolean(&mut self, value: bool);
    /// The number is finite.
    fn number(&mut self, value: f64);
    fn text(&mut self, value: &str);
    /// `each` makes an item into the form that it is given.
    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        each: impl FnMut(T, &mut Self) -> Result,
    ) -> Result;
    /// `each` makes the value of a field into the form that it is given.
    fn object<'n, T>(
        &mut self,
        fields: impl Iterator<Item = (&'n String, T)>,
        each: impl FnMut(&'n str, T, &mut Self) -> Result,
    ) -> Result;
}

/// The content of a `google.protobuf.Value`.
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
