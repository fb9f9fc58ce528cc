//! The five types of flags: what distinguishes them in the SDK, on the wire and
//! in the cache.
//!
//! The five `resolve_*` methods of the SDK differ only in the type of the value.
//! [`FlagType`] says what a Rust type means in each place, and everything else
//! is generic over it, so that evaluation is written once:
//!
//! | Rust type | [`ValueType`] | procedure | in a response |
//! |---|---|---|---|
//! | `bool` | `Bool` | `ResolveBoolean` | `bool` |
//! | `i64` | `Int` | `ResolveInt` | `int64` |
//! | `f64` | `Float` | `ResolveFloat` | `double` |
//! | `String` | `String` | `ResolveString` | `string` |
//! | `StructValue` | `Struct` | `ResolveObject` | `google.protobuf.Struct` |
//! | `Map<String, Json>` | `Struct` | `ResolveObject` | `google.protobuf.Struct` |
//!
//! The last row is for `FlagdProvider::resolve_json`, which keeps nulls.

use http::uri::PathAndQuery;
use open_feature::{EvaluationReason, FlagMetadata, StructValue, Value};
use serde_json::{Map, Value as Json};

use super::convert;
#[cfg(feature = "in-process")]
use crate::evaluator::{ErrorCode, Outcome};
use crate::flagd::{
    convert::value::NullInList,
    wire::{
        reader::{Malformed, Merge},
        response::Response,
        value::Object,
    },
};

/// The type that a caller requests.
///
/// It is part of the cache key: flagd converts a number to the type that is
/// requested, so that one flag has different results as `Int` and as `Float`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ValueType {
    Bool,
    Int,
    Float,
    String,
    Struct,
}

impl ValueType {
    /// Every type once.
    pub(crate) const ALL: [Self; 5] =
        [Self::Bool, Self::Int, Self::Float, Self::String, Self::Struct];

    /// The path of the procedure, such as
    /// `/flagd.evaluation.v2.Service/ResolveBoolean`, in version 1 or 2 of the
    /// evaluation service.
    pub(crate) fn path(self, v1: bool) -> PathAndQuery {
        macro_rules! path {
            ($method:literal) => {
                if v1 {
                    concat!("/flagd.evaluation.v1.Service/", $method)
                } else {
                    concat!("/flagd.evaluation.v2.Service/", $method)
                }
            };
        }
        PathAndQuery::from_static(match self {
            Self::Bool => path!("ResolveBoolean"),
            Self::Int => path!("ResolveInt"),
            Self::Float => path!("ResolveFloat"),
            Self::String => path!("ResolveString"),
            Self::Struct => path!("ResolveObject"),
        })
    }
}

/// flagd's response to a call, in types of the SDK.
///
/// What it means depends on the version of the service; see "Results" in
/// `docs/flagd.md`. This type holds what was in the message, and its user
/// interprets what was not.
pub(crate) struct Resolution<T> {
    /// `None` if the message has no value: in v2, the default value supplied by
    /// the caller applies; in v1, it is the type's zero. An error if the value
    /// cannot be represented in the SDK.
    pub(crate) value: Result<Option<T>, NullInList>,
    /// [`Unknown`](EvaluationReason::Unknown) if the message has none.
    pub(crate) reason: EvaluationReason,
    /// May be the empty string, where a server writes that explicitly.
    pub(crate) variant: Option<String>,
    /// May be without values, if the message has an empty struct.
    pub(crate) metadata: Option<FlagMetadata>,
}

impl<T: FlagType> Resolution<T> {
    /// Reads the message of a response, without the frame around it.
    ///
    /// # Errors
    ///
    /// The bytes are not a valid message. A value that is valid, but cannot be
    /// represented in the SDK, is an error in [`value`](Self::value).
    pub(crate) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let response = Response::<T::Wire<'_>>::read(message)?;
        Ok(Self {
            value: response.value.map(T::from_wire).transpose(),
            reason: reason(response.reason),
            variant: response.variant.map(str::to_owned),
            metadata: response.metadata.map(convert::object_to_metadata),
        })
    }
}

/// The reason of the SDK for flagd's string. Strings that OpenFeature does not
/// define are kept as they are: its reasons are an [open set].
///
/// [open set]: https://openfeature.dev/specification/types/#resolution-details
fn reason(text: &str) -> EvaluationReason {
    match text {
        "STATIC" => EvaluationReason::Static,
        "DEFAULT" => EvaluationReason::Default,
        "TARGETING_MATCH" => EvaluationReason::TargetingMatch,
        "SPLIT" => EvaluationReason::Split,
        "CACHED" => EvaluationReason::Cached,
        "DISABLED" => EvaluationReason::Disabled,
        "ERROR" => EvaluationReason::Error,
        "UNKNOWN" | "" => EvaluationReason::Unknown,
        _ => EvaluationReason::Other(text.to_owned()),
    }
}

/// Why an outcome of the evaluator has no value of the requested type.
#[cfg(feature = "in-process")]
pub(crate) enum Unfit {
    /// The evaluation failed, or its value has another type.
    Error(ErrorCode),
    /// The value is an object that the SDK cannot represent.
    Null(NullInList),
}

#[cfg(feature = "in-process")]
impl From<ErrorCode> for Unfit {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
    }
}

#[cfg(feature = "in-process")]
impl From<NullInList> for Unfit {
    fn from(null: NullInList) -> Self {
        Self::Null(null)
    }
}

/// A Rust type in which flags are resolved.
///
/// `Default` is the zero value that v1 leaves out of a response: `false`, 0,
/// the empty string or the empty object.
pub(crate) trait FlagType: Default + Send + 'static {
    /// The type to request from flagd, and for the cache key.
    const OF: ValueType;
    /// The value as it is read from a response, borrowed where possible.
    type Wire<'a>: Merge<'a>;

    /// Converts the value of a response. Only objects can fail.
    fn from_wire(value: Self::Wire<'_>) -> Result<Self, NullInList>;
    /// The value that the cache keeps; `None` if results of this type cannot be
    /// cached.
    fn to_value(&self) -> Option<Value>;
    /// The inverse of [`to_value`](Self::to_value); `None` if the value has
    /// another type.
    fn from_value(value: &Value) -> Option<Self>;
    /// The value of an evaluation in this process; `None` if the default value
    /// supplied by the caller applies.
    #[cfg(feature = "in-process")]
    fn from_outcome(outcome: &Outcome<'_>) -> Result<Option<Self>, Unfit>;
}

/// Implements [`FlagType`] for a type that is a variant of the SDK's `Value`:
/// the type, its variant, the type in a response, how to convert that, and how
/// to take the value from an outcome.
macro_rules! flag_type {
    ($type:ty, $variant:ident, |$a:lifetime| $wire:ty, |$value:ident| $decode:expr, $outcome:expr) => {
        impl FlagType for $type {
            const OF: ValueType = ValueType::$variant;
            type Wire<$a> = $wire;

            fn from_wire($value: Self::Wire<'_>) -> Result<Self, NullInList> {
                $decode
            }

            fn to_value(&self) -> Option<Value> {
                Some(Value::$variant(self.clone()))
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }

            #[cfg(feature = "in-process")]
            fn from_outcome(outcome: &Outcome<'_>) -> Result<Option<Self>, Unfit> {
                let read: fn(&Outcome<'_>) -> _ = $outcome;
                read(outcome)
            }
        }
    };
}

flag_type!(bool, Bool, |'a| bool, |value| Ok(value), |outcome| Ok(outcome.boolean()?));
flag_type!(i64, Int, |'a| i64, |value| Ok(value), |outcome| Ok(outcome.integer()?));
flag_type!(f64, Float, |'a| f64, |value| Ok(value), |outcome| Ok(outcome.float()?));
flag_type!(String, String, |'a| &'a str, |text| Ok(text.to_owned()), |outcome| {
    Ok(outcome.string()?.map(str::to_owned))
});
flag_type!(StructValue, Struct, |'a| Object<'a>, |object| convert::object_to_value(object), |outcome| {
    Ok(outcome.object()?.map(convert::json_to_value).transpose()?)
});

/// An object with its nulls. The SDK's values cannot hold them, and so neither
/// can the cache.
impl FlagType for Map<String, Json> {
    const OF: ValueType = ValueType::Struct;
    type Wire<'a> = Object<'a>;

    fn from_wire(value: Object<'_>) -> Result<Self, NullInList> {
        Ok(convert::object_to_json(value))
    }

    fn to_value(&self) -> Option<Value> {
        None
    }

    fn from_value(_: &Value) -> Option<Self> {
        None
    }

    #[cfg(feature = "in-process")]
    fn from_outcome(outcome: &Outcome<'_>) -> Result<Option<Self>, Unfit> {
        Ok(outcome.object()?.cloned())
    }
}
