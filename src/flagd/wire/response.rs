//! The five responses of the evaluation service, which differ only in the type of
//! their value:
//!
//! ```text
//! 1 value     bool, int64, double, string or google.protobuf.Struct
//! 2 reason    string
//! 3 variant   string, optional in v2
//! 4 metadata  google.protobuf.Struct
//! ```

use super::{
    reader::{Malformed, Merge, Reader},
    value::Object,
};

/// A response of evaluation v2. It reads those of v1 too, in which an absent value
/// or variant is the default of its type.
#[derive(Debug, PartialEq)]
pub(crate) struct Response<'a, V> {
    /// `None` if the field is absent.
    pub(crate) value: Option<V>,
    /// Empty if the field is absent.
    pub(crate) reason: &'a str,
    pub(crate) variant: Option<&'a str>,
    pub(crate) metadata: Option<Object<'a>>,
}

impl<'a, V: Merge<'a>> Response<'a, V> {
    /// Reads the message, which the result borrows from. Unknown fields are skipped,
    /// so that a newer flagd may add some.
    ///
    /// # Errors
    ///
    /// The bytes are not a valid message, or a field has another type.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut read = Self { value: None, reason: "", variant: None, metadata: None };
        Reader::new(message).each(|field| match field.tag {
            1 => read.value.get_or_insert_default().merge(field),
            2 => read.reason.merge(field),
            3 => read.variant.get_or_insert_default().merge(field),
            4 => read.metadata.get_or_insert_default().merge(field),
            _ => field.skip(),
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
