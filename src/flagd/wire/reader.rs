//! Reads protobuf messages where they stand: strings are borrowed from the bytes.
//!
//! A type says how it is read by implementing [`Merge`]. A message does it by
//! passing each of its fields on by number:
//!
//! ```text
//! Reader::new(bytes).each(|field| match field.tag {
//!     1 => self.enabled.merge(field),
//!     2 => self.name.merge(field),
//!     _ => field.skip(),
//! })
//! ```
//!
//! The bytes come from the network, so everything is checked, with the bounds of
//! prost: at most 100 levels of messages, strings in UTF-8, and no field beyond the
//! end of its message. There is no recursion beyond that depth, and no allocation
//! by a length that was only announced.

use prost::encoding::{WireType, decode_key, decode_varint};

/// How deep messages may be nested, as in prost.
const MAX_DEPTH: u32 = 100;

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// A varint or the key of a field is cut off, too large, or has a field number
    /// or wire type that does not exist.
    #[error("a number or the key of a field is invalid")]
    Number,
    /// A field that is known has another wire type, such as a string in place of a
    /// number.
    #[error("a field has another wire type than its type")]
    WireType,
    /// A string is not UTF-8, as proto3 requires.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A length exceeds what is left of the message.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// There are more levels of messages or groups than `MAX_DEPTH`.
    #[error("messages are nested beyond {MAX_DEPTH} levels")]
    Depth,
    /// The end of a group without its beginning.
    #[error("a group has no beginning or no end")]
    Group,
}

type Result<T> = std::result::Result<T, Malformed>;

/// A type that fields are read into.
///
/// A message may have the same field several times. As protobuf requires, the last
/// one counts for a scalar, and a message is merged with those before it.
pub(crate) trait Merge<'a>: Default {
    /// Reads the content of a field into `self`. After an error, `self` is of no
    /// use.
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<()>;
}

/// The part of a message that was not read yet.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// How many more levels of messages may be in this one.
    depth: u32,
}

/// A field of which only the key was read. Read or skip its content, which consumes
/// it, so that it cannot happen twice.
pub(crate) struct Field<'r, 'a> {
    /// The number of the field.
    pub(crate) tag: u32,
    wire_type: WireType,
    /// Stands at the beginning of the content.
    reader: &'r mut Reader<'a>,
}

impl<'a> Reader<'a> {
    /// A reader of a whole message, at the outermost level.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, depth: MAX_DEPTH }
    }

    /// Calls `read` with each field, in the order of the bytes. It must read or skip
    /// the field: otherwise, its content would be taken for the next field.
    pub(crate) fn each(mut self, mut read: impl FnMut(Field<'_, 'a>) -> Result<()>) -> Result<()> {
        while !self.rest.is_empty() {
            let (tag, wire_type) = self.key()?;
            read(Field { tag, wire_type, reader: &mut self })?;
        }
        Ok(())
    }

    /// The number and the wire type of the next field.
    fn key(&mut self) -> Result<(u32, WireType)> {
        decode_key(&mut self.rest).map_err(|_| Malformed::Number)
    }

    /// A varint of at most 64 bits.
    fn varint(&mut self) -> Result<u64> {
        decode_varint(&mut self.rest).map_err(|_| Malformed::Number)
    }

    /// The next `len` bytes.
    fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length, and as many bytes.
    fn delimited(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
        self.bytes(len)
    }

    /// Skips the content of a field. `depth` is how many levels may be in it: a
    /// group, an old form of a message that has an end mark in place of a length,
    /// counts as one.
    fn skip(&mut self, tag: u32, wire_type: WireType, depth: u32) -> Result<()> {
        let inner = depth.checked_sub(1).ok_or(Malformed::Depth)?;
        match wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::ThirtyTwoBit => self.bytes(4).map(drop),
            WireType::SixtyFourBit => self.bytes(8).map(drop),
            WireType::LengthDelimited => self.delimited().map(drop),
            WireType::StartGroup => loop {
                match self.key()? {
                    (end, WireType::EndGroup) if end == tag => return Ok(()),
                    (tag, wire_type) => self.skip(tag, wire_type, inner)?,
                }
            },
            WireType::EndGroup => Err(Malformed::Group),
        }
    }
}

impl<'a> Field<'_, 'a> {
    /// Skips the content, of any wire type.
    pub(crate) fn skip(self) -> Result<()> {
        let depth = self.reader.depth;
        self.reader.skip(self.tag, self.wire_type, depth)
    }

    /// Calls `read` with each field of the message in this field, like
    /// [`Reader::each`].
    pub(crate) fn message(self, read: impl FnMut(Field<'_, 'a>) -> Result<()>) -> Result<()> {
        self.expect(WireType::LengthDelimited)?;
        self.entry(read)
    }

    /// Like [`message`](Self::message), for an entry of a map. Its wire type is not
    /// checked, because prost does not check it either.
    pub(crate) fn entry(self, read: impl FnMut(Field<'_, 'a>) -> Result<()>) -> Result<()> {
        let depth = self.reader.depth.checked_sub(1).ok_or(Malformed::Depth)?;
        let rest = self.reader.delimited()?;
        Reader { rest, depth }.each(read)
    }

    /// A varint of at most 64 bits.
    pub(crate) fn varint(self) -> Result<u64> {
        self.expect(WireType::Varint)?;
        self.reader.varint()
    }

    /// Checks the wire type.
    fn expect(&self, wire_type: WireType) -> Result<()> {
        if self.wire_type == wire_type { Ok(()) } else { Err(Malformed::WireType) }
    }
}

/// `bool`: any number but 0 is true.
impl Merge<'_> for bool {
    fn merge(&mut self, field: Field<'_, '_>) -> Result<()> {
        *self = field.varint()? != 0;
        Ok(())
    }
}

/// `int64`: a varint of the two's complement.
impl Merge<'_> for i64 {
    fn merge(&mut self, field: Field<'_, '_>) -> Result<()> {
        *self = field.varint()?.cast_signed();
        Ok(())
    }
}

/// `double`: 64 bits, little-endian.
impl Merge<'_> for f64 {
    fn merge(&mut self, field: Field<'_, '_>) -> Result<()> {
        field.expect(WireType::SixtyFourBit)?;
        let bytes = field.reader.bytes(8)?.try_into().map_err(|_| Malformed::Truncated)?;
        *self = f64::from_le_bytes(bytes);
        Ok(())
    }
}

/// `string`, borrowed from the message.
impl<'a> Merge<'a> for &'a str {
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<()> {
        field.expect(WireType::LengthDelimited)?;
        *self = str::from_utf8(field.reader.delimited()?).map_err(|_| Malformed::Utf8)?;
        Ok(())
    }
}
