//! From any bytes, the reader reads what prost reads, and fails where prost fails.

use proptest::{collection, prelude::*, sample::Index};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{Struct, value::Kind};

use super::*;
use crate::flagd::{proto, wire::value::Value};

/// Compares what is read with what prost reads, for all five types.
fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    macro_rules! compare {
        ($response:ident, $type:ty, $value:expr) => {
            let read = Response::<$type>::read(bytes);
            match proto::$response::decode(bytes) {
                Err(error) => prop_assert!(read.is_err(), "{} against {:?}", error, read),
                Ok(message) => {
                    let value: fn(&_) -> Option<$type> = $value;
                    let expected = Response {
                        value: value(&message),
                        reason: message.reason.as_str(),
                        variant: message.variant.as_deref(),
                        metadata: message.metadata.as_ref().map(Object::from),
                    };
                    // As strings, in which NaN equals NaN, and 0 does not equal -0.
                    prop_assert_eq!(format!("{:?}", read), format!("{:?}", Ok::<_, ()>(expected)));
                }
            }
        };
    }
    compare!(ResolveBooleanResponse, bool, |message: &proto::ResolveBooleanResponse| message.value);
    compare!(ResolveIntResponse, i64, |message: &proto::ResolveIntResponse| message.value);
    compare!(ResolveFloatResponse, f64, |message: &proto::ResolveFloatResponse| message.value);
    compare!(ResolveStringResponse, &str, |message: &proto::ResolveStringResponse| {
        message.value.as_deref()
    });
    compare!(ResolveObjectResponse, Object<'_>, |message: &proto::ResolveObjectResponse| {
        message.value.as_ref().map(Object::from)
    });
    Ok(())
}

/// A field with any number and wire type. Its content is often a message of such fields.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let leaf = (1..8_u32, any::<u64>(), 0..5_u8).prop_map(|(tag, number, kind)| {
        let mut field = Vec::new();
        match kind {
            0 => {
                encode_key(tag, WireType::Varint, &mut field);
                encode_varint(number >> (number % 64), &mut field);
            }
            1 => {
                encode_key(tag, WireType::SixtyFourBit, &mut field);
                field.extend(number.to_le_bytes());
            }
            2 => {
                encode_key(tag, WireType::ThirtyTwoBit, &mut field);
                field.extend([1, 2, 3, 4]);
            }
            3 => prost::encoding::string::encode(tag, &format!("é{}", number % 3), &mut field),
            _ => {
                encode_key(tag, WireType::StartGroup, &mut field);
                encode_key(1, WireType::Varint, &mut field);
                field.push(7);
                encode_key(tag, WireType::EndGroup, &mut field);
            }
        }
        field
    });
    leaf.prop_recursive(6, 40, 4, |inner| {
        (1..7_u32, collection::vec(inner, 0..4)).prop_map(|(tag, fields)| {
            let mut field = Vec::new();
            prost::encoding::bytes::encode(tag, &fields.concat(), &mut field);
            field
        })
    })
}

fn value() -> impl Strategy<Value = prost_types::Value> {
    let leaf = prop_oneof![
        Just(prost_types::Value { kind: None }),
        any::<i32>().prop_map(|number| Kind::NullValue(number).into()),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-c]{0,2}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            fields(inner).prop_map(|object| Kind::StructValue(object).into()),
        ]
    })
}

fn fields(value: impl Strategy<Value = prost_types::Value>) -> impl Strategy<Value = Struct> {
    collection::btree_map("[a-c]{0,2}", value, 0..4).prop_map(|fields| Struct { fields })
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let text = "[a-c]{0,2}";
    let object = || proptest::option::of(fields(value()));
    (object(), text, proptest::option::of(text), object()).prop_map(
        |(value, reason, variant, metadata)| {
            proto::ResolveObjectResponse { value, reason, variant, metadata }.encode_to_vec()
        },
    )
}

/// A response with a value in this many nested arrays.
fn nested(lists: usize) -> Vec<u8> {
    let value = (0..lists).fold(true.into(), |inner, _| prost_types::Value::from(vec![inner]));
    let value = Some(Struct { fields: [("a".to_owned(), value)].into() });
    proto::ResolveObjectResponse { value, ..Default::default() }.encode_to_vec()
}

#[test]
fn depth_is_bounded_as_by_prost() {
    let mut both = [false; 2];
    for lists in 40..60 {
        compare(&nested(lists)).unwrap();
        both[usize::from(Response::<Object<'_>>::read(&nested(lists)).is_ok())] = true;
    }
    assert_eq!(both, [true; 2], "the bound lies among these");
    Response::<Object<'_>>::read(&nested(1_000)).unwrap_err();
    let groups = |count: usize| [vec![0x3b; count], vec![0x3c; count]].concat();
    for count in 95..105 {
        compare(&groups(count)).unwrap();
    }
    let deep = groups(100_000);
    assert_eq!(Response::<bool>::read(&deep).unwrap_err(), Malformed::Depth);
}

#[test]
fn what_comes_twice_is_merged() {
    let one = |name: &str| Struct { fields: [(name.to_owned(), name.into())].into() };
    let message = |name: &str| {
        let reason = name.to_owned();
        let value = Some(one(name));
        proto::ResolveObjectResponse { value, reason, ..Default::default() }.encode_to_vec()
    };
    let twice = [message("a"), message("b")].concat();
    let read = Response::<Object<'_>>::read(&twice).unwrap();
    assert_eq!(read.reason, "b");
    let Object(fields) = read.value.unwrap();
    assert_eq!(fields, [("a", Value::Text("a")), ("b", Value::Text("b"))].into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn valid_responses_are_read_as_prost_reads_them(bytes in response()) {
        compare(&bytes)?;
        prop_assert!(Response::<Object<'_>>::read(&bytes).is_ok());
    }

    #[test]
    fn fields_of_any_kind_are(fields in collection::vec(field(), 0..6)) {
        compare(&fields.concat())?;
    }

    #[test]
    fn mutated_bytes_are(
        parts in collection::vec(prop_oneof![response(), field()], 1..4),
        changes in collection::vec((any::<Index>(), any::<u8>()), 0..4),
        end in any::<Index>(),
    ) {
        let mut bytes = parts.concat();
        bytes.truncate(end.index(bytes.len() + 1).max(bytes.len() / 2));
        if !bytes.is_empty() {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        compare(&bytes)?;
    }

    #[test]
    fn any_bytes_are(bytes in collection::vec(any::<u8>(), 0..40)) {
        compare(&bytes)?;
    }
}
