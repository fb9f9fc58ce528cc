//! Who is in a rollout, by the formula of the documentation.

/// `MurmurHash3` as its author published it, in 32 bits with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let chunks = bytes.chunks_exact(4);
    let tail = chunks.remainder();
    for chunk in chunks {
        hash ^= mix(u32::from_le_bytes(chunk.try_into().unwrap()));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        hash ^= mix(tail.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte)));
    }
    hash ^= u32::try_from(bytes.len()).unwrap();
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// Whether an id has a feature, by the formula that the documentation has.
pub(crate) fn expected(feature: &str, number: i64, percent: u8, id: Option<&str>) -> bool {
    let Some(id) = id else { return percent == 100 };
    let hash = murmur3(format!("production/{feature}/{number}/{id}").as_bytes());
    (u64::from(hash) * 100) >> 32 < u64::from(percent)
}
