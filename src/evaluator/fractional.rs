//! `fractional`: the same share of users gets the same variant, always.

use super::{
    eval::Run,
    number,
    operators::Args,
    value::{Answer, Value},
};
pub(super) use crate::bucketing::Bucketing;

/// Null wherever an argument is not what it must be.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn distribute<'a>(args: Args<'_, 'a>, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let Args::List(items) = args else { return Ok(Value::Null) };
    let picked = match run.bucketing {
        Bucketing::Text => by_text(items, data),
        Bucketing::Cbor => by_cbor(items, data),
    };
    Ok(picked.unwrap_or(Value::Null))
}

fn by_text<'a>(items: &[Value<'a>], data: &Value<'a>) -> Option<Value<'a>> {
    let Value::Object(fields) = data else { return None };
    let rest = &items.get(1..)?;
    let (hash, shares) = match &items[0] {
        Value::Text(text) => (murmur3(text.bytes()), *rest),
        other => {
            let targeting_key = fields.get("targetingKey")?;
            let targeting_key = targeting_key.as_text().filter(|key| !key.is_empty())?;
            let flag_key = flag_key(data);
            let flag_key = flag_key.as_text().unwrap_or_default();
            let hash = murmur3(flag_key.bytes().chain(targeting_key.bytes()));
            (hash, if other.is_null() { *rest } else { items })
        }
    };
    pick(hash, shares)
}

fn by_cbor<'a>(items: &[Value<'a>], data: &Value<'a>) -> Option<Value<'a>> {
    let Value::Object(fields) = data else { return None };
    let mut bytes = Vec::new();
    let shares = match items.first()? {
        Value::Null => return None,
        Value::List(_) => {
            let targeting_key = fields.get("targetingKey")?;
            targeting_key.as_text().filter(|key| !key.is_empty())?;
            encode(&vec![flag_key(data), targeting_key].into(), &mut bytes);
            items
        }
        bucket_by => {
            encode(bucket_by, &mut bytes);
            &items[1..]
        }
    };
    pick(murmur3(bytes.into_iter()), shares)
}

fn flag_key<'a>(data: &Value<'a>) -> Value<'a> {
    let field = |value: &Value<'a>, name| match value {
        Value::Object(fields) => fields.get(name),
        _ => None,
    };
    match field(data, "$flagd").and_then(|flagd| field(&flagd, "flagKey")) {
        Some(key @ Value::Text(_)) => key,
        _ => Value::Text("".into()),
    }
}

/// The variant in whose share the hash lies.
fn pick<'a>(hash: u32, shares: &[Value<'a>]) -> Option<Value<'a>> {
    let mut total = 0;
    for share in shares {
        total += u64::from(weight(share)?);
    }
    let total = i32::try_from(total).ok()?.unsigned_abs();
    let bucket = (u64::from(hash) * u64::from(total)) >> 32;
    let mut end = 0;
    shares.iter().find_map(|share| {
        end += u64::from(weight(share)?);
        let Value::List(share) = share else { return None };
        if bucket < end { share.get(0) } else { None }
    })
}

/// The weight of a `[variant, weight]`: 1 unless given, 0 if negative.
fn weight(share: &Value<'_>) -> Option<u32> {
    let Value::List(share) = share else { return None };
    if matches!(share.get(0)?, Value::List(_) | Value::Object(_) | Value::IntegerZero) {
        return None;
    }
    match share.get(1) {
        None | Some(Value::Null) => Some(1),
        Some(Value::Number(weight)) => {
            let whole = number::to_integer(weight);
            #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
            let is_whole = whole as f64 == weight;
            u32::try_from(whole.max(0))
                .ok()
                .filter(|weight| is_whole && i32::try_from(*weight).is_ok())
        }
        _ => None,
    }
}

/// murmur3, x86, 32 bits, seed 0.
fn murmur3(bytes: impl Iterator<Item = u8>) -> u32 {
    fn mix(block: u32) -> u32 {
        block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
    }
    let (mut hash, mut block, mut length) = (0u32, 0u32, 0u32);
    for byte in bytes {
        block |= u32::from(byte) << (length % 4 * 8);
        length = length.wrapping_add(1);
        if length % 4 == 0 {
            hash = (hash ^ mix(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
            block = 0;
        }
    }
    hash ^= mix(block) ^ length;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// Appends the deterministic CBOR encoding; whole numbers within 64 bits are integers.
fn encode(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(value) => out.push(if *value { 0xf5 } else { 0xf4 }),
        Value::IntegerZero => out.push(0),
        Value::Number(number) => encode_number(*number, out),
        Value::Text(text) => {
            encode_head(3, text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
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

#[allow(clippy::cast_possible_truncation)]
fn encode_head(kind: u8, number: u64, out: &mut Vec<u8>) {
    let kind = kind << 5;
    match number {
        0..24 => out.push(kind | number as u8),
        24..0x100 => out.extend([kind | 0x18, number as u8]),
        0x100..0x1_0000 => {
            out.push(kind | 0x19);
            out.extend((number as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(kind | 0x1a);
            out.extend((number as u32).to_be_bytes());
        }
        _ => {
            out.push(kind | 0x1b);
            out.extend(number.to_be_bytes());
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::float_cmp)]
fn encode_number(number: f64, out: &mut Vec<u8>) {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if number.fract() == 0.0 && (0.0..LIMIT).contains(&number) {
        encode_head(0, number as u64, out);
    } else if number.fract() == 0.0 && (-LIMIT / 2.0..0.0).contains(&number) {
        encode_head(1, !(number as i64) as u64, out);
    } else if number.is_nan() {
        out.extend([0xf9, 0x7e, 0]);
    } else if let Some(half) = half(number) {
        out.push(0xf9);
        out.extend(half.to_be_bytes());
    } else if f64::from(number as f32) == number {
        out.push(0xfa);
        out.extend((number as f32).to_be_bytes());
    } else {
        out.push(0xfb);
        out.extend(number.to_be_bytes());
    }
}

/// The 16-bit float of the same value, if there is one.
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

    use super::{
        super::{FlagSet, operators::testing::on},
        *,
    };

    #[test]
    fn hashes() {
        for (text, hash) in [
            ("", 0),
            ("a", 0x3c25_69b2),
            ("hello", 0x248b_fa47),
            ("hello, world", 0x149b_bb7f),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(text.bytes()), hash, "{text}");
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

    #[test]
    fn what_gives_null() {
        let context = json!({"targetingKey": "user", "n": null});
        for rule in [
            json!({"fractional": []}),
            json!({"fractional": "a"}),
            json!({"fractional": ["a"]}),
            json!({"fractional": [["a", 0]]}),
            json!({"fractional": [["a", -5]]}),
            json!({"fractional": [["a", 1.5]]}),
            json!({"fractional": [["a", "1"]]}),
            json!({"fractional": [["a", 2_147_483_648_u32]]}),
            json!({"fractional": [["a", 2_147_483_647], ["b", 1]]}),
            json!({"fractional": [[["a"], 1]]}),
            json!({"fractional": [[]]}),
            json!({"fractional": [1, ["a", 1]]}),
        ] {
            assert_eq!(on(&rule, &context), "null", "{rule}");
        }
        let rule = json!({"fractional": [["a", 1]]});
        for context in [json!({}), json!({"targetingKey": ""}), json!({"targetingKey": 1})] {
            assert_eq!(on(&rule, &context), "null", "{context}");
        }
    }

    #[test]
    fn what_gives_a_variant() {
        let context = json!({"targetingKey": "user", "n": null});
        for (rule, variant) in [
            (json!({"fractional": [["a"]]}), "\"a\""),
            (json!({"fractional": [["a", null]]}), "\"a\""),
            (json!({"fractional": [["a", 25.0, "ignored"]]}), "\"a\""),
            (json!({"fractional": [{"var": "n"}, ["a", 1]]}), "\"a\""),
            (json!({"fractional": ["x", [true, 1]]}), "true"),
            (json!({"fractional": ["x", [1.5, 1]]}), "1.5"),
            (json!({"fractional": ["x", [null, 1]]}), "null"),
        ] {
            assert_eq!(on(&rule, &context), variant, "{rule}");
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
            let mut bytes = Vec::new();
            encode(&Value::from(&value), &mut bytes);
            assert_eq!(murmur3(bytes.into_iter()), hash, "{value}");
        }
    }

    fn share(bucketing: Bucketing, bucket_by: &Json, expected: [u32; 3]) {
        let rule = json!({"fractional": [bucket_by, ["a", 50], ["b", 30], ["c", 20]]});
        let flag = json!({"variants": {"a": 0, "b": 1, "c": 2}, "targeting": rule});
        let set = FlagSet::parse(&json!({"flags": {"f": flag}}).to_string()).unwrap();
        let set = set.with_bucketing(bucketing);
        let mut counts = [0u32; 3];
        for user in 0..10_000 {
            let context = json!({"targetingKey": format!("user-{user}"), "n": user});
            let outcome = set.evaluate("f", context.as_object().unwrap());
            let index = usize::try_from(outcome.integer().unwrap().unwrap()).unwrap();
            counts[index] += 1;
        }
        for (count, expected) in counts.iter().zip(expected) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn shares_are_as_the_weights() {
        share(Bucketing::Text, &json!({"var": "nope"}), [5000, 3000, 2000]);
        share(Bucketing::Text, &json!({"var": "targetingKey"}), [5000, 3000, 2000]);
        share(Bucketing::Cbor, &json!({"var": "n"}), [5000, 3000, 2000]);
    }
}
