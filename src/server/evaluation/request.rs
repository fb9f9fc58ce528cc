//! From a request to its result, whatever the protocol, and results as protobuf.
//!
//! A protocol reads a request, hands it over as [`EvaluationRequest`] together with
//! a function that writes the response, and gets that response or a status. The
//! function is passed in because a result borrows from the snapshot of the flags:
//! it is written in place, and never copied into a value of its own.

use std::time::Duration;

use http::HeaderMap;
use prost::{
    bytes::BytesMut,
    encoding::{bool, double, int64},
};
use tonic::Status;

use super::resolve::{Evaluation, Resolved, Typed};
use crate::server::protocol::procedure::{Kind, Version};
use crate::{
    evaluator::{Context, ErrorCode},
    server::{
        core::Core,
        protocol::wire::{Fields, write_text},
        store::selector::Selector,
    },
};

/// What every request that evaluates flags has.
pub(crate) struct EvaluationRequest<'r> {
    /// For the selector, and for context fields from headers.
    pub(crate) headers: &'r HeaderMap,
    /// The client's context.
    pub(crate) context: &'r (dyn Context + Sync),
    /// How long the client waits; none if it does not say. It is called only if
    /// the flags are not loaded yet.
    pub(crate) client_timeout: &'r (dyn Fn() -> Option<Duration> + Sync),
}

impl EvaluationRequest<'_> {
    /// Resolves a flag, and writes the response while the result is borrowed from
    /// the flags.
    ///
    /// # Errors
    ///
    /// Returns flagd's status if the flag cannot be resolved, and those of
    /// [`evaluate`](Self::evaluate).
    pub(crate) async fn resolve<T>(
        &self,
        core: &Core,
        key: &str,
        kind: Kind,
        version: Version,
        write: impl FnOnce(&Resolved<'_>) -> T,
    ) -> Result<T, Status> {
        let respond = |evaluation: &Evaluation<'_>| {
            let resolved = evaluation.resolve(key, kind, version);
            resolved.map(|resolved| write(&resolved)).map_err(status)
        };
        self.evaluate(core, respond).await?
    }

    /// Evaluates with the current flags, or with the first ones once they are
    /// loaded.
    ///
    /// # Errors
    ///
    /// Returns `INVALID_ARGUMENT` for an invalid selector, before it waits for
    /// anything, and `UNAVAILABLE` while there are no flags or the context source
    /// fails.
    pub(crate) async fn evaluate<T>(
        &self,
        core: &Core,
        respond: impl FnOnce(&Evaluation<'_>) -> T,
    ) -> Result<T, Status> {
        let Self { headers, context, client_timeout } = *self;
        let selector = selector(core, headers)?;
        core.ready_to_evaluate(client_timeout).await?;
        let context = core.static_context.over(context, headers);
        let fields = core.fields(&context).await?;
        let context = context.with_fields(fields.as_deref());
        let (flags, context) = (core.store.snapshot(), context.as_context());
        Ok(respond(&Evaluation { core, flags: &flags, selector: &selector, context }))
    }
}

/// The selector in the header of a request.
pub(crate) fn selector(core: &Core, headers: &HeaderMap) -> Result<Selector, Status> {
    core.selector(headers, "").map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The status that flagd uses for an error (docs/flagd.md, "Status codes"). Its
/// message is flagd's.
pub(crate) fn status(failure: ErrorCode) -> Status {
    let message = failure.to_string();
    match failure {
        ErrorCode::FlagNotFound => Status::not_found(message),
        ErrorCode::ParseError => Status::data_loss(message),
        ErrorCode::TypeMismatch => Status::invalid_argument(message),
        ErrorCode::General => Status::unknown(message),
    }
}

/// Writes a result as protobuf, the fields `value`, `reason`, `variant` and
/// `metadata` of `ResolveBooleanResponse` and its siblings, which differ only in
/// the type of the value.
///
/// A value that is zero is left out in version 1, as protobuf has it for fields
/// without presence, and is written in version 2. Its fields are optional there,
/// so that a value which is absent means something else.
pub(crate) fn write(resolved: &Resolved<'_>, version: Version, out: &mut BytesMut) {
    let always = version == Version::V2;
    match resolved.value {
        Some(Typed::Boolean(value)) if always || value => bool::encode(1, &value, out),
        Some(Typed::String(value)) if always || !value.is_empty() => write_text(1, value, out),
        Some(Typed::Integer(value)) if always || value != 0 => int64::encode(1, &value, out),
        Some(Typed::Float(value)) if always || value != 0.0 => double::encode(1, &value, out),
        Some(Typed::Object(Some(object))) => Fields::new(object).write_field(1, out),
        Some(Typed::Object(None)) => write_text(1, "", out),
        _ => {}
    }
    write_text(2, resolved.reason, out);
    if let Some(variant) = resolved.variant.filter(|variant| !variant.is_empty()) {
        write_text(3, variant, out);
    }
    resolved.metadata.write_field(4, out);
}
