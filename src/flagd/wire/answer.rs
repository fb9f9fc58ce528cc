//! The five responses of evaluation, which differ in the type of their value alone.

use super::{
    reader::{Malformed, Merge, Reader},
    value::Object,
};

/// A response of evaluation v2; one of v1 is read as well.
#[derive(Debug, PartialEq)]
pub(crate) struct Response<'a, V> {
    pub(crate) value: Option<V>,
    pub(crate) reason: &'a str,
    pub(crate) variant: Option<&'a str>,
    pub(crate) metadata: Option<Object<'a>>,
}

impl<'a, V: Merge<'a>> Response<'a, V> {
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
