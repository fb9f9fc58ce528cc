//! `fractional`: gives each variant to a share of the users, and the same user
//! always the same variant.
//!
//! flagd specifies the operator in
//! [Fractional Operation Specification](https://flagd.dev/reference/specifications/custom-operations/fractional-operation-spec/);
//! "`fractional`" in `docs/flagd.md` says what flagd does, and how the generations
//! differ.
//!
//! # Example
//!
//! ```json
//! {"fractional": [{"var": "email"}, ["a", 50], ["b", 30], ["c", 20]]}
//! ```
//!
//! If the variable is `hello`, its hash is `0x248b_fa47`. The weights add up to
//! 100, so the bucket is `0x248b_fa47 * 100 >> 32`, which is 14: the hash as a share
//! of all hashes, scaled to the sum of the weights.
//!
//! ```text
//!   0             14                        50             80        100
//!   ├──────────────┼─────────────────────────┼──────────────┼─────────┤
//!   │              ▲           a             │       b      │    c    │
//! ```
//!
//! The bucket lies in the share of `a`. No state is kept and nothing is drawn at
//! random: every program that computes the same hash chooses the same variant. So
//! no detail here can change without moving users to other variants, for which
//! there is [`Bucketing`].

use serde_json::Value as Json;

use super::{
    args::Args,
    cbor::{encode, encode_head},
    murmur3::Murmur3,
    run::Run,
};
use crate::{
    bucketing::Bucketing,
    evaluator::{
        number,
        value::{Evaluated, List, Object, Value, steps},
    },
};

/// Chooses a variant, or returns null if an argument is not what it must be. A
/// rule that returns null leaves the flag its default variant.
///
/// `data` is the context or, within an operator such as `map`, the item; it is
/// where the targeting key comes from.
pub(crate) fn distribute<'a>(args: Args<'_, 'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let Args::List(items) = args else { return Ok(Value::Null) };
    let mut hash = Murmur3::default();
    let picked = match run.bucketing {
        Bucketing::String => by_text(items, data, &mut hash),
        Bucketing::Cbor => by_cbor(items, data, &mut hash),
    };
    run.charge(steps(hash.length()))?;
    Ok(picked.unwrap_or(Value::Null))
}

/// The generation [`Bucketing::String`]: a string comes first and is hashed, or
/// else the flag's key followed by the targeting key.
///
/// Null in the place of the string, usually a variable that is missing, is skipped;
/// anything else there is taken for the first share.
fn by_text<'a>(items: &[Value<'a>], data: &Value<'a>, hash: &mut Murmur3) -> Option<Value<'a>> {
    let rest = &items.get(1..)?;
    let shares = match &items[0] {
        Value::Text(text) => {
            data.as_object()?;
            hash.add(text.as_bytes());
            *rest
        }
        other => {
            with_keys(data, |flag_key, targeting_key| {
                hash.add(flag_key.as_bytes());
                hash.add(targeting_key.as_bytes());
            })?;
            if other.is_null() { *rest } else { items }
        }
    };
    pick(hash.finish(), shares)
}

/// The generation [`Bucketing::Cbor`]: any value but an array or null comes first,
/// and its CBOR encoding is hashed; or else that of the array of flag key and
/// targeting key.
///
/// Null in the place of the value makes the result null.
fn by_cbor<'a>(items: &[Value<'a>], data: &Value<'a>, hash: &mut Murmur3) -> Option<Value<'a>> {
    let shares = match items.first()? {
        Value::Null => return None,
        Value::List(_) => {
            with_keys(data, |flag_key, targeting_key| {
                encode_head(4, 2, hash);
                for key in [flag_key, targeting_key] {
                    encode_head(3, key.len() as u64, hash);
                    hash.add(key.as_bytes());
                }
            })?;
            items
        }
        bucket_by => {
            data.as_object()?;
            encode(bucket_by, hash);
            &items[1..]
        }
    };
    pick(hash.finish(), shares)
}

/// Calls `call` with the flag's key and the targeting key. `None`, without a call,
/// if the targeting key is not a string or is empty.
///
/// Within an operator such as `map`, both keys are read from the item. An item
/// without `$flagd` has the flag key `""`.
fn with_keys(data: &Value<'_>, call: impl FnOnce(&str, &str)) -> Option<()> {
    let fields = data.as_object()?;
    let targeting_key = fields.get("targetingKey")?;
    let targeting_key = targeting_key.as_text().filter(|key| !key.is_empty())?;
    if let Object::Root(root) = fields {
        call(root.flag_key, targeting_key);
        return Some(());
    }
    let flagd = fields.get("$flagd");
    let flag_key = flagd.as_ref().and_then(Value::as_object).and_then(|flagd| flagd.get("flagKey"));
    call(flag_key.as_ref().and_then(Value::as_text).unwrap_or_default(), targeting_key);
    Some(())
}

/// The variant in whose share the hash lies. `None` if a share is invalid, wherever
/// it is, if the sum of the weights exceeds 2^31 - 1, or if it is 0.
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

/// The weight of the share `[variant, weight]`. `None` if the share is not an array,
/// or its variant is an array, an object or missing.
fn weight(share: &Value<'_>) -> Option<u32> {
    let share = match share {
        Value::List(List::Json(share)) => return constant_weight(share),
        Value::List(share) => share,
        _ => return None,
    };
    if matches!(share.get(0)?, Value::List(_) | Value::Object(_) | Value::IntegerZero) {
        return None;
    }
    whole(share.get(1).as_ref())
}

/// The same for a share that is written in the rule, as nearly all are: its JSON is
/// looked at where it is.
fn constant_weight(share: &[Json]) -> Option<u32> {
    match (share.first()?, share.get(1)) {
        (Json::Array(_) | Json::Object(_), _) => None,
        (_, Some(Json::Number(weight))) => whole(Some(&Value::Number(weight.as_f64()?))),
        (_, weight) => whole(weight.map(Value::from).as_ref()),
    }
}

/// A weight: 1 if there is none, and 0 if it is negative. `None` if it is not a whole
/// number, or exceeds 2^31 - 1.
fn whole(weight: Option<&Value<'_>>) -> Option<u32> {
    match weight {
        None | Some(Value::Null) => Some(1),
        Some(Value::Number(weight)) => {
            let whole = number::to_integer(*weight);
            #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
            let is_whole = whole as f64 == *weight;
            u32::try_from(whole.max(0))
                .ok()
                .filter(|weight| is_whole && i32::try_from(*weight).is_ok())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::evaluator::{flag_set::FlagSet, rule::operators::testing::on};

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
        share(Bucketing::String, &json!({"var": "nope"}), [5000, 3000, 2000]);
        share(Bucketing::String, &json!({"var": "targetingKey"}), [5000, 3000, 2000]);
        share(Bucketing::Cbor, &json!({"var": "n"}), [5000, 3000, 2000]);
    }
}
