//! Writes protobuf messages in one pass.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// The bytes of a message, to which fields are added.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What is no field.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn varint(&mut self, tag: u32, value: u64) {
        encode_key(tag, WireType::Varint, &mut self.bytes);
        encode_varint(value, &mut self.bytes);
    }

    pub(crate) fn double(&mut self, tag: u32, value: f64) {
        encode_key(tag, WireType::SixtyFourBit, &mut self.bytes);
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, tag: u32, value: &str) {
        encode_key(tag, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(value.len() as u64, &mut self.bytes);
        self.raw(value.as_bytes());
    }

    /// A message, which `write` fills. Its length goes before it and is known after it: there is room
    /// for one byte, and a longer one moves the message.
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

    /// An entry of a map from strings to messages.
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
