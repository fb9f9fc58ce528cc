//! CBOR, as `fractional` hashes it.
//!
//! The generation [`Bucketing::Cbor`](crate::Bucketing::Cbor) hashes a value of any
//! type, and needs one sequence of bytes for it: the deterministic encoding of
//! [RFC 8949, section 4.2](https://www.rfc-editor.org/rfc/rfc8949.html#section-4.2).
//! Only values that JSON has are encoded, nothing is decoded, and the bytes go
//! straight into the hash.
//!
//! A value begins with a head: the major type in the upper three bits, and in the
//! lower five a small number or the size of the number that follows.
//!
//! | JSON | Bytes | |
//! |---|---|---|
//! | `23` | `17` | type 0, whole number |
//! | `1000` | `19 03e8` | type 0, a number of two bytes follows |
//! | `-1` | `20` | type 1, negative: -1 minus the number |
//! | `"ü"` | `62 c3bc` | type 3, string of two bytes |
//! | `[2, 3]` | `82 02 03` | type 4, array of two items |
//! | `{"a": 1}` | `a1 61 61 01` | type 5, object with one field |
//! | `true`, `null` | `f5`, `f6` | type 7, simple values |
//! | `1.5` | `f9 3e00` | type 7, float of 16 bits |

use super::murmur3::Murmur3;
use crate::evaluator::value::Value;

/// Where an encoding goes: into a hash, and in tests into a `Vec`.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Murmur3 {
    fn put(&mut self, bytes: &[u8]) {
        self.add(bytes);
    }
}

/// Writes the deterministic encoding of a value.
///
/// A whole number within 64 bits, signed or unsigned, is an integer, whether it was
/// written as 1 or 1.0. Any other number is the shortest float that represents it.
///
/// The keys of an object are sorted by length, then by their bytes. Since all of them
/// are strings, that is also the order of their encodings, which the RFC asks for.
pub(crate) fn encode(value: &Value<'_>, out: &mut impl Sink) {
    match value {
        Value::Null => out.put(&[0xf6]),
        Value::Bool(value) => out.put(&[if *value { 0xf5 } else { 0xf4 }]),
        Value::IntegerZero => out.put(&[0]),
        Value::Number(number) => encode_number(*number, out),
        Value::Text(text) => {
            encode_head(3, text.len() as u64, out);
            out.put(text.as_bytes());
        }
        Value::List(list) => {
            encode_head(4, list.len() as u64, out);
            list.iter().for_each(|item| encode(&item, out));
        }
        Value::Object(object) => {
            let mut fields: Vec<_> = object.fields().into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            encode_head(5, fields.len() as u64, out);
            for (name, value) in fields {
                encode(&Value::from(name), out);
                encode(&value, out);
            }
        }
    }
}

/// Writes the head of a value: its major type (0 to 7), and its number or length in
/// as few bytes as possible.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn encode_head(kind: u8, number: u64, out: &mut impl Sink) {
    let kind = kind << 5;
    match number {
        0..24 => out.put(&[kind | number as u8]),
        24..0x100 => out.put(&[kind | 0x18, number as u8]),
        0x100..0x1_0000 => {
            out.put(&[kind | 0x19]);
            out.put(&(number as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.put(&[kind | 0x1a]);
            out.put(&(number as u32).to_be_bytes());
        }
        _ => {
            out.put(&[kind | 0x1b]);
            out.put(&number.to_be_bytes());
        }
    }
}

/// Writes a number. -0 is the integer 0, and NaN has only one encoding.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::float_cmp)]
fn encode_number(number: f64, out: &mut impl Sink) {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if number.fract() == 0.0 && (0.0..LIMIT).contains(&number) {
        encode_head(0, number as u64, out);
    } else if number.fract() == 0.0 && (-LIMIT / 2.0..0.0).contains(&number) {
        encode_head(1, !(number as i64) as u64, out);
    } else if number.is_nan() {
        out.put(&[0xf9, 0x7e, 0]);
    } else if let Some(half) = half(number) {
        out.put(&[0xf9]);
        out.put(&half.to_be_bytes());
    } else if f64::from(number as f32) == number {
        out.put(&[0xfa]);
        out.put(&(number as f32).to_be_bytes());
    } else {
        out.put(&[0xfb]);
        out.put(&number.to_be_bytes());
    }
}

/// The bits of the 16-bit float of the same value, if there is one.
///
/// Rust has no stable 16-bit float. Such a float has one bit of sign, five of exponent
/// and ten of mantissa; its smallest positive value is 2^-24, and its largest 65,504.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn half(number: f64) -> Option<u16> {
    let sign = if number.is_sign_negative() { 0x8000 } else { 0 };
    let size = number.abs();
    if size.is_infinite() {
        return Some(sign | 0x7c00);
    }
    // In units of the smallest half there are 1024 numbers to each power of two.
    let units = size * 16_777_216.0;
    if size >= 65_520.0 || units < 1.0 {
        return None;
    }
    let exponent = ((units.to_bits() >> 52) as i32 - 1023 - 10).max(0);
    let mantissa = units / f64::from(1u32 << exponent);
    if mantissa.fract() != 0.0 {
        return None;
    }
    let mantissa = mantissa as u16;
    let exponent = u16::try_from(exponent).ok()?;
    Some(sign | if mantissa < 1024 { mantissa } else { ((exponent + 1) << 10) | (mantissa - 1024) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    impl Sink for Vec<u8> {
        fn put(&mut self, bytes: &[u8]) {
            self.extend_from_slice(bytes);
        }
    }

    fn cbor(value: &Json) -> String {
        let mut bytes = Vec::new();
        encode(&Value::from(value), &mut bytes);
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// The examples of RFC 8949, appendix A, but for whole floats.
    #[test]
    fn encodings() {
        for (value, encoding) in [
            (json!(0), "00"),
            (json!(23), "17"),
            (json!(24), "1818"),
            (json!(1000), "1903e8"),
            (json!(1_000_000), "1a000f4240"),
            (json!(1_000_000_000_000_u64), "1b000000e8d4a51000"),
            (json!(-1), "20"),
            (json!(-1000), "3903e7"),
            (json!(1.0), "01"),
            (json!(1.5), "f93e00"),
            (json!(1.1), "fb3ff199999999999a"),
            (json!(1.0e300), "fb7e37e43c8800759c"),
            (json!(5.960_464_477_539_063e-8), "f90001"),
            (json!(0.000_061_035_156_25), "f90400"),
            (json!(-4.1), "fbc010666666666666"),
            (json!(100_000.5), "fa47c35040"),
            (json!("ü"), "62c3bc"),
            (json!(true), "f5"),
            (json!({"b": [2, 3], "a": 1, "": null}), "a360f66161016162820203"),
        ] {
            assert_eq!(cbor(&value), encoding, "{value}");
        }
    }

    /// As Python's `openfeature-flagd-core` 2.0.0 hashes.
    #[test]
    fn hashes_of_encodings() {
        for (value, hash) in [
            (json!(["f", "user-1"]), 0xb2f6_82fa),
            (json!(5.0), 0x53ca_c555),
            (json!(1.5), 0x14ad_e9b6),
            (json!(-7), 0x24e7_e891),
            (json!(true), 0x31d7_a60b),
            (json!("é"), 0x16c9_66ef),
            (json!({"b": [2, 3], "a": 1}), 0x8744_c851),
        ] {
            let mut hasher = Murmur3::default();
            encode(&Value::from(&value), &mut hasher);
            assert_eq!(hasher.finish(), hash, "{value}");
        }
    }
}
