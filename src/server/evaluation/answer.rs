//! From a request to its answer, whatever the protocol, and the answer in protobuf.

use std::time::Duration;

use http::HeaderMap;
use prost::{
    bytes::BytesMut,
    encoding::{bool, double, int64},
};
use tonic::Status;

use super::resolve::{Question, Resolved, Typed};
use crate::server::protocol::procedure::{Kind, Version};
use crate::{
    evaluator::{Context, ErrorCode},
    server::{
        core::Core,
        protocol::wire::{Fields, write_text},
        store::selector::Selector,
    },
};

/// What a request asks with: its headers and its context; and how long its client waits.
pub(crate) struct Asked<'r> {
    pub(crate) headers: &'r HeaderMap,
    pub(crate) context: &'r (dyn Context + Sync),
    pub(crate) patience: &'r (dyn Fn() -> Option<Duration> + Sync),
}

impl Asked<'_> {
    /// Resolves a flag, and writes the answer while it is borrowed from the flags.
    pub(crate) async fn resolve<T>(
        &self,
        core: &Core,
        key: &str,
        kind: Kind,
        version: Version,
        write: impl FnOnce(&Resolved<'_>) -> T,
    ) -> Result<T, Status> {
        let answer = |question: &Question<'_>| {
            let resolved = question.resolve(key, kind, version);
            resolved.map(|resolved| write(&resolved)).map_err(status)
        };
        self.ask(core, answer).await?
    }

    /// Answers a question about the flags as they are now, or as they are first loaded. A request that
    /// is invalid does not wait for them.
    pub(crate) async fn ask<T>(
        &self,
        core: &Core,
        answer: impl FnOnce(&Question<'_>) -> T,
    ) -> Result<T, Status> {
        let Self { headers, context, patience } = *self;
        let selector = selector(core, headers)?;
        core.answerable(patience).await?;
        let fields = core.fields(context).await?;
        let flags = core.store.snapshot();
        let (selector, fields) = (&selector, fields.as_deref());
        Ok(answer(&Question { core, flags: &flags, selector, context, fields, headers }))
    }
}

/// The selector of a request.
pub(crate) fn selector(core: &Core, headers: &HeaderMap) -> Result<Selector, Status> {
    core.selector(headers, "").map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The status by which flagd tells a failure.
pub(crate) fn status(failure: ErrorCode) -> Status {
    let message = failure.to_string();
    match failure {
        ErrorCode::FlagNotFound => Status::not_found(message),
        ErrorCode::ParseError => Status::data_loss(message),
        ErrorCode::TypeMismatch => Status::invalid_argument(message),
        ErrorCode::General => Status::unknown(message),
    }
}

/// Writes an answer as protobuf. Version 1 leaves out what is zero.
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
