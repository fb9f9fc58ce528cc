//! The five types of flags: what tells them apart in the SDK, on the wire and in the cache.

use http::uri::PathAndQuery;
use open_feature::{EvaluationReason, FlagMetadata, StructValue, Value};
use serde_json::{Map, Value as Json};

use super::convert;
#[cfg(feature = "in-process")]
use crate::evaluator::{ErrorCode, Outcome};
use crate::flagd::{
    convert::value::NullInList,
    wire::{
        answer::Response,
        reader::{Malformed, Merge},
        value::Object,
    },
};

/// The type that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ValueType {
    Bool,
    Int,
    Float,
    String,
    Struct,
}

impl ValueType {
    pub(crate) const ALL: [Self; 5] =
        [Self::Bool, Self::Int, Self::Float, Self::String, Self::Struct];

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

/// An answer of flagd, whatever its type.
pub(crate) struct Answer<T> {
    pub(crate) value: Result<Option<T>, NullInList>,
    pub(crate) reason: EvaluationReason,
    pub(crate) variant: Option<String>,
    pub(crate) metadata: Option<FlagMetadata>,
}

impl<T: FlagType> Answer<T> {
    /// Reads the response to a call.
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

/// Why an outcome gives no value of a type.
#[cfg(feature = "in-process")]
pub(crate) enum Unfit {
    Error(ErrorCode),
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

/// A Rust type that flags have.
pub(crate) trait FlagType: Default + Send + 'static {
    const OF: ValueType;
    /// The value in a response.
    type Wire<'a>: Merge<'a>;

    fn from_wire(value: Self::Wire<'_>) -> Result<Self, NullInList>;
    /// What the cache keeps; none if it cannot.
    fn to_value(&self) -> Option<Value>;
    fn from_value(value: &Value) -> Option<Self>;
    /// None where the caller's default is to be used.
    #[cfg(feature = "in-process")]
    fn from_outcome(outcome: &Outcome<'_>) -> Result<Option<Self>, Unfit>;
}

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

/// An object with its nulls, which the SDK's values, and so the cache, cannot hold.
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
