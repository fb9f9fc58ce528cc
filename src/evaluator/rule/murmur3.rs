//! The hash function of `fractional`.
//!
//! [murmur3](https://github.com/aappleby/smhasher/wiki/MurmurHash3) in its x86
//! variant of 32 bits, with the seed 0. It takes the bytes in blocks of four, each
//! read as a little-endian number:
//!
//! ```text
//!  "hello"   68 65 6c 6c │ 6f
//!            block         tail, filled up with zeros
//!            mix, rotate,  mix only
//!            multiply, add
//!  finish    ⊕ length 5, then the final mix
//!            = 0x248b_fa47
//! ```
//!
//! The bytes to hash can come in pieces, such as the flag's key followed by the
//! targeting key, and CBOR byte by byte. The hash takes them as they come, so that
//! nothing is joined first.

/// murmur3 (x86, 32 bits, seed 0) of bytes that come in pieces.
///
/// The hash does not depend on how the bytes are divided into pieces. The default
/// is the state before the first byte.
#[derive(Debug, Default)]
pub(crate) struct Murmur3 {
    /// The hash of all complete blocks, before the last steps.
    hash: u32,
    /// The number of bytes so far.
    length: usize,
    /// Up to three bytes of a block that is not complete, the rest of it zero.
    block: u32,
    /// How many bytes of `block` are filled: 0 to 3 between calls.
    filled: usize,
}

/// Scatters the bits of a block.
fn mix(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

/// The hash after one more complete block.
fn add_block(hash: u32, block: u32) -> u32 {
    (hash ^ mix(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

impl Murmur3 {
    /// The number of bytes that were added.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Adds the next bytes: first to a block that an earlier piece began, then as
    /// complete blocks, and what is left begins a new one.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.length = self.length.wrapping_add(piece.len());
        let missing = if self.filled == 0 { 0 } else { (4 - self.filled).min(piece.len()) };
        let (start, rest) = piece.split_at(missing);
        self.fill(start);
        let (blocks, end) = rest.as_chunks::<4>();
        for block in blocks {
            self.hash = add_block(self.hash, u32::from_le_bytes(*block));
        }
        self.fill(end);
    }

    /// Adds bytes to the block that is not complete; at most as many as complete it.
    fn fill(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.block |= u32::from(*byte) << (8 * self.filled);
            self.filled += 1;
        }
        if self.filled == 4 {
            self.hash = add_block(self.hash, self.block);
            (self.block, self.filled) = (0, 0);
        }
    }

    /// The hash of all bytes so far. More can be added afterwards.
    ///
    /// As murmur3 has it, only the lower 32 bits of the length count.
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn finish(&self) -> u32 {
        let hash = self.hash ^ mix(self.block) ^ self.length as u32;
        let hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        let hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn murmur3(pieces: &[&[u8]]) -> u32 {
        let mut hash = Murmur3::default();
        for piece in pieces {
            hash.add(piece);
        }
        hash.finish()
    }

    #[test]
    fn hashes() {
        for (text, hash) in [
            ("", 0),
            ("a", 0x3c25_69b2),
            ("hello", 0x248b_fa47),
            ("hello, world", 0x149b_bb7f),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(&[text.as_bytes()]), hash, "{text}");
            for (first, second) in
                (0..=text.len()).flat_map(|a| (a..=text.len()).map(move |b| (a, b)))
            {
                let bytes = text.as_bytes();
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(murmur3(&pieces), hash, "{pieces:?}");
            }
        }
    }
}
