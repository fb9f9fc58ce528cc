//! Reads protobuf messages where they stand, with prost's bounds: 100 levels of messages, texts in
//! UTF-8, and nothing beyond the end of a message.

use prost::encoding::{WireType, decode_key, decode_varint};

/// As many messages as prost lets lie within one another.
const MAX_DEPTH: u32 = 100;

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a number or the key of a field is invalid")]
    Number,
    #[error("a field has another wire type than its type")]
    WireType,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("it ends in the middle of a field")]
    Truncated,
    #[error("messages are nested beyond {MAX_DEPTH} levels")]
    Depth,
    #[error("a group has no beginning or no end")]
    Group,
}

type Result<T> = std::result::Result<T, Malformed>;

/// What a field is read into. A field that comes again replaces a scalar, and adds to a message.
pub(crate) trait Merge<'a>: Default {
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<()>;
}

/// What is left of a message.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// How many more messages may lie within one another.
    depth: u32,
}

/// A field whose content is yet to be read.
pub(crate) struct Field<'r, 'a> {
    pub(crate) tag: u32,
    wire_type: WireType,
    reader: &'r mut Reader<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, depth: MAX_DEPTH }
    }

    /// Gives each field to `read`, which must read or skip it.
    pub(crate) fn each(mut self, mut read: impl FnMut(Field<'_, 'a>) -> Result<()>) -> Result<()> {
        while !self.rest.is_empty() {
            let (tag, wire_type) = self.key()?;
            read(Field { tag, wire_type, reader: &mut self })?;
        }
        Ok(())
    }

    fn key(&mut self) -> Result<(u32, WireType)> {
        decode_key(&mut self.rest).map_err(|_| Malformed::Number)
    }

    fn varint(&mut self) -> Result<u64> {
        decode_varint(&mut self.rest).map_err(|_| Malformed::Number)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn delimited(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
        self.bytes(len)
    }

    /// Reads over a field. A group, which protobuf once had for a message, counts as one.
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
    pub(crate) fn skip(self) -> Result<()> {
        let depth = self.reader.depth;
        self.reader.skip(self.tag, self.wire_type, depth)
    }

    /// Gives each field of the message in this field to `read`.
    pub(crate) fn message(self, read: impl FnMut(Field<'_, 'a>) -> Result<()>) -> Result<()> {
        self.expect(WireType::LengthDelimited)?;
        self.entry(read)
    }

    /// As [`message`](Self::message), of an entry of a map, whose wire type prost takes for granted.
    pub(crate) fn entry(self, read: impl FnMut(Field<'_, 'a>) -> Result<()>) -> Result<()> {
        let depth = self.reader.depth.checked_sub(1).ok_or(Malformed::Depth)?;
        let rest = self.reader.delimited()?;
        Reader { rest, depth }.each(read)
    }

    pub(crate) fn varint(self) -> Result<u64> {
        self.expect(WireType::Varint)?;
        self.reader.varint()
    }

    fn expect(&self, wire_type: WireType) -> Result<()> {
        if self.wire_type == wire_type { Ok(()) } else { Err(Malformed::WireType) }
    }
}

impl Merge<'_> for bool {
    fn merge(&mut self, field: Field<'_, '_>) -> Result<()> {
        *self = field.varint()? != 0;
        Ok(())
    }
}

impl Merge<'_> for i64 {
    fn merge(&mut self, field: Field<'_, '_>) -> Result<()> {
        *self = field.varint()?.cast_signed();
        Ok(())
    }
}

impl Merge<'_> for f64 {
    fn merge(&mut self, field: Field<'_, '_>) -> Result<()> {
        field.expect(WireType::SixtyFourBit)?;
        let bytes = field.reader.bytes(8)?.try_into().map_err(|_| Malformed::Truncated)?;
        *self = f64::from_le_bytes(bytes);
        Ok(())
    }
}

impl<'a> Merge<'a> for &'a str {
    fn merge(&mut self, field: Field<'_, 'a>) -> Result<()> {
        field.expect(WireType::LengthDelimited)?;
        *self = str::from_utf8(field.reader.delimited()?).map_err(|_| Malformed::Utf8)?;
        Ok(())
    }
}
