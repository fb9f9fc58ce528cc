//! Writes protobuf messages in one pass.
//!
//! The length of a message precedes its content. prost walks a message twice, once
//! to compute all lengths and once to write. Here, the content is written first,
//! after one byte that is left for the length, and moved if the length needs more:
//!
//! ```text
//! 12 __ 0a 01 'f'                 the key, room for the length, the content
//! 12 03 0a 01 'f'                 less than 128 bytes: the length fits
//! 12 c8 01 0a 01 ...              200 bytes: the content has moved by one
//! ```
//!
//! Most messages of a request are short, so that few are moved.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// A buffer to which fields are appended.
///
/// Fields with the default value are written too. It is for the caller to leave them
/// out where proto3 does.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty buffer with room for as many bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// All bytes that were written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends bytes that are not a field, such as the head of a frame.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a `bool`, an enum or an unsigned integer.
    pub(crate) fn varint(&mut self, tag: u32, value: u64) {
        encode_key(tag, WireType::Varint, &mut self.bytes);
        encode_varint(value, &mut self.bytes);
    }

    /// Appends a `double`.
    pub(crate) fn double(&mut self, tag: u32, value: f64) {
        encode_key(tag, WireType::SixtyFourBit, &mut self.bytes);
        self.raw(&value.to_le_bytes());
    }

    /// Appends a `string`.
    pub(crate) fn text(&mut self, tag: u32, value: &str) {
        encode_key(tag, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(value.len() as u64, &mut self.bytes);
        self.raw(value.as_bytes());
    }

    /// Appends a message, whose fields `write` appends. See the [module](self) for
    /// how its length is written.
    ///
    /// # Errors
    ///
    /// That of `write`. The buffer then ends in the middle of the message.
    pub(crate) fn message<E>(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        encode_key(tag, WireType::LengthDelimited, &mut self.bytes);
        let head = self.bytes.len();
        self.bytes.push(0);
        let begin = self.bytes.len();
        write(self)?;
        let len = self.bytes.len() - begin;
        let more = encoded_len_varint(len as u64) - 1;
        if more > 0 {
            self.bytes.resize(begin + len + more, 0);
            self.bytes.copy_within(begin..begin + len, begin + more);
        }
        encode_varint(len as u64, &mut &mut self.bytes[head..begin + more]);
        Ok(())
    }

    /// Appends an entry of a map from strings to messages: a message with the name and
    /// with a message that `write` fills.
    pub(crate) fn entry<E>(
        &mut self,
        tag: u32,
        name: &str,
        write: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.message(tag, |entry| {
            if !name.is_empty() {
                entry.text(1, name);
            }
            entry.message(2, write)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At each width of a length, and one byte before it.
    #[test]
    fn a_length_of_any_width_precedes_its_message() {
        for len in [0, 1, 126, 127, 128, 16_382, 16_383, 16_384, 2_097_151, 2_097_152] {
            let content = vec![b'x'; len];
            let mut writer = Writer::default();
            let written = writer.message(2, |writer| {
                writer.raw(&content);
                Ok::<(), ()>(())
            });
            assert_eq!(written, Ok(()));
            let mut expected = Vec::new();
            prost::encoding::bytes::encode(2, &content, &mut expected);
            assert_eq!(writer.into_bytes(), expected, "{len}");
        }
    }
}
