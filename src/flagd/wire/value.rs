//! `google.protobuf.Struct` and `Value`, borrowed from the message that they are in.
//!
//! ```text
//! Struct     1 fields        map<string, Value>: entries with 1 key and 2 value
//! Value      1 null_value    2 number_value  3 string_value
//!            4 bool_value    5 struct_value  6 list_value
//! ListValue  1 values        repeated Value
//! ```
//!
//! A struct in a struct takes three levels of messages (value, struct, entry), and an
//! array in an array two (value, list), of the 100 that the reader accepts.

use std::collections::BTreeMap;

use super::reader::{Field, Malformed, Merge};

/// A `google.protobuf.Value`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value<'a> {
    /// Null, or a value without a kind: flagd does not distinguish them.
    #[default]
    Null,
    Bool(bool),
    /// The only type of numbers. It may be NaN or infinite.
    Number(f64),
    Text(&'a str),
    List(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// A `google.protobuf.Struct`: fields by name. The map is ordered, which makes
/// results that list them the same in every run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) BTreeMap<&'a str, Value<'a>>);

/// Adds the fields of another struct. Of two with the same name, the last one counts,
/// whole: as for any map, values are not merged.
impl<'a> Merge<'a> for Object<'a> {
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<(), Malformed> {
        field.message(|field| match field.tag {
            1 => {
                let (mut name, mut value) = ("", Value::Null);
                field.entry(|field| match field.tag {
                    1 => name.merge(field),
                    2 => value.merge(field),
                    _ => field.skip(),
                })?;
                self.0.insert(name, value);
                Ok(())
            }
            _ => field.skip(),
        })
    }
}

/// The kinds are a `oneof`: the last one counts, except that an object or array is
/// merged with one of the same kind just before it.
impl<'a> Merge<'a> for Value<'a> {
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<(), Malformed> {
        field.message(|field| {
            match field.tag {
                1 => {
                    field.varint()?;
                    *self = Self::Null;
                }
                2 => *self = Self::Number(read(field)?),
                3 => *self = Self::Text(read(field)?),
                4 => *self = Self::Bool(read(field)?),
                5 => match self {
                    Self::Object(object) => object.merge(field)?,
                    _ => *self = Self::Object(read(field)?),
                },
                6 => match self {
                    Self::List(items) => items.merge(field)?,
                    _ => *self = Self::List(read(field)?),
                },
                _ => field.skip()?,
            }
            Ok(())
        })
    }
}

/// `google.protobuf.ListValue`: adds the items of another list.
impl<'a> Merge<'a> for Vec<Value<'a>> {
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<(), Malformed> {
        field.message(|field| match field.tag {
            1 => {
                self.push(read(field)?);
                Ok(())
            }
            _ => field.skip(),
        })
    }
}

/// Reads a field into a new value.
fn read<'a, T: Merge<'a>>(field: Field<'_, 'a>) -> Result<T, Malformed> {
    let mut value = T::default();
    value.merge(field)?;
    Ok(value)
}

/// Lets tests compare with prost.
#[cfg(test)]
impl<'a> From<&'a prost_types::Struct> for Object<'a> {
    fn from(object: &'a prost_types::Struct) -> Self {
        let fields = object.fields.iter();
        Self(fields.map(|(name, value)| (name.as_str(), value.into())).collect())
    }
}

/// Lets tests compare with prost.
#[cfg(test)]
impl<'a> From<&'a prost_types::Value> for Value<'a> {
    fn from(value: &'a prost_types::Value) -> Self {
        use prost_types::value::Kind;
        match &value.kind {
            None | Some(Kind::NullValue(_)) => Self::Null,
            Some(Kind::BoolValue(value)) => Self::Bool(*value),
            Some(Kind::NumberValue(value)) => Self::Number(*value),
            Some(Kind::StringValue(value)) => Self::Text(value),
            Some(Kind::ListValue(list)) => Self::List(list.values.iter().map(Self::from).collect()),
            Some(Kind::StructValue(object)) => Self::Object(object.into()),
        }
    }
}
