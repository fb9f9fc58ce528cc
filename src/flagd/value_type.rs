//! The five types of flags: what tells them apart in the SDK, on the wire and in the cache.

use http::uri::PathAndQuery;
use open_feature::{StructValue, Value};
use prost_types::Struct;

use super::{convert, proto};
#[cfg(feature = "in-process")]
use crate::evaluator::{ErrorCode, Outcome};

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
    pub(crate) value: Option<T>,
    pub(crate) reason: String,
    pub(crate) variant: Option<String>,
    pub(crate) metadata: Option<Struct>,
}

/// A Rust type that flags have.
pub(crate) trait FlagType: Clone + Default + Send + 'static {
    const OF: ValueType;
    /// The message of evaluation v2, which reads an answer of v1 as well.
    type Response: prost::Message + Default + Into<Answer<Self>>;

    fn to_value(&self) -> Value;
    fn from_value(value: &Value) -> Option<Self>;
    /// None where the caller's default is to be used.
    #[cfg(feature = "in-process")]
    fn from_outcome(outcome: &Outcome<'_>) -> Result<Option<Self>, ErrorCode>;
}

macro_rules! flag_type {
    ($type:ty, $variant:ident, $response:ident, $decode:expr, $outcome:expr) => {
        impl From<proto::$response> for Answer<$type> {
            fn from(response: proto::$response) -> Self {
                Self {
                    value: response.value.map($decode),
                    reason: response.reason,
                    variant: response.variant,
                    metadata: response.metadata,
                }
            }
        }

        impl FlagType for $type {
            const OF: ValueType = ValueType::$variant;
            type Response = proto::$response;

            fn to_value(&self) -> Value {
                Value::$variant(self.clone())
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }

            #[cfg(feature = "in-process")]
            fn from_outcome(outcome: &Outcome<'_>) -> Result<Option<Self>, ErrorCode> {
                let read: fn(&Outcome<'_>) -> _ = $outcome;
                read(outcome)
            }
        }
    };
}

flag_type!(bool, Bool, ResolveBooleanResponse, |value| value, |outcome| outcome.boolean());
flag_type!(i64, Int, ResolveIntResponse, |value| value, |outcome| outcome.integer());
flag_type!(f64, Float, ResolveFloatResponse, |value| value, |outcome| outcome.float());
flag_type!(String, String, ResolveStringResponse, |value| value, |outcome| {
    Ok(outcome.string()?.map(str::to_owned))
});
flag_type!(StructValue, Struct, ResolveObjectResponse, convert::struct_to_value, |outcome| {
    Ok(outcome.object()?.map(convert::json_to_value))
});
