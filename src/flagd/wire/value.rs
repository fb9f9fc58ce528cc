//! `google.protobuf.Struct` and `Value`, borrowed from the message that they came in.

use std::collections::BTreeMap;

use super::reader::{Field, Malformed, Merge};

/// A value; one of no kind is null.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    List(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// The fields of a struct.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) BTreeMap<&'a str, Value<'a>>);

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

/// `google.protobuf.ListValue`.
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

fn read<'a, T: Merge<'a>>(field: Field<'_, 'a>) -> Result<T, Malformed> {
    let mut value = T::default();
    value.merge(field)?;
    Ok(value)
}

#[cfg(test)]
impl<'a> From<&'a prost_types::Struct> for Object<'a> {
    fn from(object: &'a prost_types::Struct) -> Self {
        let fields = object.fields.iter();
        Self(fields.map(|(name, value)| (name.as_str(), value.into())).collect())
    }
}

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
