//! From a question to an answer, whatever the protocol.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::server::protocol::procedure::{Kind, Version};
use crate::{
    evaluator::{Context, ErrorCode, Outcome, Reason},
    server::{
        core::Core,
        protocol::wire::Fields,
        store::{selector::Selector, snapshot::Snapshot},
    },
};

/// A value of the type that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Typed<'f> {
    Boolean(bool),
    String(&'f str),
    Integer(i64),
    Float(f64),
    Object(Option<&'f Map<String, Value>>),
}

impl Typed<'_> {
    /// What a flag without value has in version 1.
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

/// What the protocols answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved<'f> {
    pub(crate) value: Option<Typed<'f>>,
    pub(crate) variant: Option<&'f str>,
    pub(crate) reason: &'static str,
    pub(crate) metadata: Fields<'f>,
}

/// A question about the flags of a snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) core: &'a Core,
    pub(crate) flags: &'a Snapshot,
    pub(crate) selector: &'a Selector,
    pub(crate) context: &'a dyn Context,
    /// The fields of the context source.
    pub(crate) fields: Option<&'a Map<String, Value>>,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Question<'a> {
    /// Evaluates a flag, of whatever type; none if there is none.
    pub(crate) fn evaluate(&self, key: &str) -> Option<Outcome<'a>> {
        let additions = &self.core.additions;
        additions.with(self.context, self.fields, self.headers, |context| {
            self.flags.evaluate(self.selector, key, context)
        })
    }

    /// The metadata of an answer.
    pub(crate) fn metadata(&self, object: &'a Map<String, Value>) -> Fields<'a> {
        Fields { object, extra: self.selector.metadata() }
    }

    /// Evaluates a flag as a value of this type, and counts it.
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

    fn typed(&self, key: &str, kind: Kind, version: Version) -> Result<Resolved<'a>, ErrorCode> {
        let outcome = self.evaluate(key).ok_or(ErrorCode::FlagNotFound)?;
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
        // A name that is empty is none.
        let mut variant = outcome.variant.filter(|variant| !variant.is_empty());
        if version == Version::V1 {
            value = value.or(Some(Typed::zero(kind)));
            variant = variant.or(Some(""));
        }
        let metadata = self.metadata(outcome.metadata);
        Ok(Resolved { value, variant, reason: outcome.reason.as_str(), metadata })
    }
}
