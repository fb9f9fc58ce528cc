//! The evaluation of one flag, whatever the protocol.
//!
//! The evaluator returns JSON values; the protocols need a value of the requested
//! type, or one of flagd's errors. What differs between the versions of the
//! service is decided here too (docs/flagd.md, "Results"):
//!
//! | Flag | Version 1 | Version 2 |
//! |---|---|---|
//! | without a default variant, no rule matches | `FLAG_NOT_FOUND` | no value |
//! | disabled | zero value, empty variant | no value |

use serde_json::{Map, Value};

use crate::server::protocol::procedure::{Kind, Version};
use crate::{
    evaluator::{Context, ErrorCode, Outcome, Reason},
    server::{
        core::Core,
        observer::Evaluated,
        protocol::wire::Fields,
        store::{selector::Selector, snapshot::Snapshot},
    },
};

/// A value of the requested type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Typed<'f> {
    Boolean(bool),
    String(&'f str),
    Integer(i64),
    Float(f64),
    /// None is the zero value of version 1, an object without fields.
    Object(Option<&'f Map<String, Value>>),
}

impl Typed<'_> {
    /// The value that version 1 returns for a flag without a value.
    fn zero(kind: Kind) -> Self {
        match kind {
            Kind::Boolean => Self::Boolean(false),
            Kind::String => Self::String(""),
            Kind::Integer => Self::Integer(0),
            Kind::Float => Self::Float(0.0),
            Kind::Object => Self::Object(None),
        }
    }
}

/// The result of an evaluation, borrowed from the flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved<'f> {
    /// None means "use the default value of the caller". Version 1 always has one.
    pub(crate) value: Option<Typed<'f>>,
    /// None if there is no variant; in version 1 it is then empty.
    pub(crate) variant: Option<&'f str>,
    pub(crate) reason: &'static str,
    pub(crate) metadata: Fields<'f>,
}

/// A request, and the flags with which it is evaluated. An evaluation of all flags
/// uses the same snapshot throughout.
#[derive(Clone, Copy)]
pub(crate) struct Evaluation<'a> {
    pub(crate) core: &'a Core,
    pub(crate) flags: &'a Snapshot,
    pub(crate) selector: &'a Selector,
    /// The whole context, with what the server adds.
    pub(crate) context: &'a dyn Context,
}

impl<'a> Evaluation<'a> {
    /// Evaluates a flag of any type, on its own or with all others; none if the selector shows no
    /// such flag.
    pub(crate) fn evaluate(&self, key: &str, in_bulk: bool) -> Option<Outcome<'a>> {
        let outcome = self.flags.evaluate(self.selector, key, self.context)?;
        if let Some(observer) = &self.core.observer {
            observer.evaluated(&Evaluated::new(key, &outcome, in_bulk));
        }
        Some(outcome)
    }

    /// The metadata of a result: that of the flag, and the field of the selector.
    pub(crate) fn metadata(&self, object: &'a Map<String, Value>) -> Fields<'a> {
        Fields { object, extra: self.selector.metadata() }
    }

    /// Evaluates a flag as a value of this type, and counts the evaluation.
    ///
    /// # Errors
    ///
    /// Returns flagd's error code if the flag does not exist, is of another type,
    /// or fails.
    pub(crate) fn resolve(
        &self,
        key: &str,
        kind: Kind,
        version: Version,
    ) -> Result<Resolved<'a>, ErrorCode> {
        let resolved = self.typed(key, kind, version);
        let counted = resolved.as_ref().map_err(|error| *error);
        let counted = counted.map(|it| (it.variant, it.reason));
        self.core.metrics.count(key, counted);
        resolved
    }

    /// Does what [`resolve`](Self::resolve) does, without counting.
    fn typed(&self, key: &str, kind: Kind, version: Version) -> Result<Resolved<'a>, ErrorCode> {
        let outcome = self.evaluate(key, false).ok_or(ErrorCode::FlagNotFound)?;
        if version == Version::V1 && outcome.reason == Reason::Default && outcome.value.is_none() {
            return Err(ErrorCode::FlagNotFound);
        }
        let mut value = match kind {
            Kind::Boolean => outcome.boolean()?.map(Typed::Boolean),
            Kind::String => outcome.string()?.map(Typed::String),
            Kind::Integer => outcome.integer()?.map(Typed::Integer),
            Kind::Float => outcome.float()?.map(Typed::Float),
            Kind::Object => outcome.object()?.map(|object| Typed::Object(Some(object))),
        };
        // A variant with an empty name counts as none.
        let mut variant = outcome.variant.filter(|variant| !variant.is_empty());
        if version == Version::V1 {
            value = value.or(Some(Typed::zero(kind)));
            variant = variant.or(Some(""));
        }
        let metadata = self.metadata(outcome.metadata);
        Ok(Resolved { value, variant, reason: outcome.reason.as_str(), metadata })
    }
}
