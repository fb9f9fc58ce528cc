//! The evaluation port: flagd's evaluation service in both versions, over gRPC and Connect.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use prost::{
    bytes::BytesMut,
    encoding::{bool, double, int64},
};
use tonic::Status;

use super::{
    body::{Received, Reply},
    connect::{self, Codec, ContentType},
    core::{Core, selector_of},
    envelope, events, grpc,
    metrics::Route,
    proto::v1::{EventStreamRequest, ResolveAllRequest, ResolveBooleanRequest},
    resolve::{Kind, Question, Resolved, Typed, Version},
    resolve_all, respond,
    selector::Selector,
    wire::{Fields, write_text},
};
use crate::evaluator::{Context, ErrorCode};

/// A request to resolve a flag; all versions and types have the same fields.
pub(crate) type ResolveRequest = ResolveBooleanRequest;

const ACCEPTED: &str = "application/grpc, application/grpc+proto, application/json, \
    application/json; charset=utf-8, application/proto";
const ACCEPTED_STREAM: &str = "application/grpc, application/grpc+proto, application/connect+json, \
    application/connect+json; charset=utf-8, application/connect+proto";

/// The services: the last is what version 1 was called before, with the same messages.
const SERVICES: [(&str, Version); 3] = [
    ("/flagd.evaluation.v1.Service/", Version::V1),
    ("/flagd.evaluation.v2.Service/", Version::V2),
    ("/schema.v1.Service/", Version::V1),
];

const KINDS: [(&str, Kind); 5] = [
    ("Boolean", Kind::Boolean),
    ("String", Kind::String),
    ("Int", Kind::Integer),
    ("Float", Kind::Float),
    ("Object", Kind::Object),
];

/// A procedure of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Procedure {
    Resolve(Kind, Version),
    ResolveAll,
    EventStream,
}

impl Procedure {
    fn at(path: &str) -> Option<Self> {
        let at = |(service, version): &(&str, _)| Some((*version, path.strip_prefix(service)?));
        let (version, name) = SERVICES.iter().find_map(at)?;
        match name {
            "EventStream" => Some(Self::EventStream),
            "ResolveAll" if version == Version::V1 => Some(Self::ResolveAll),
            _ => {
                let name = name.strip_prefix("Resolve")?;
                let (_, kind) = KINDS.iter().find(|(known, _)| *known == name)?;
                Some(Self::Resolve(*kind, version))
            }
        }
    }

    /// Where it is called: of several paths the first, by the present name of the service.
    pub(crate) fn path(self) -> String {
        let (version, name) = match self {
            Self::Resolve(kind, version) => {
                let kind = KINDS.iter().find(|(_, known)| *known == kind);
                (version, format!("Resolve{}", kind.map_or("", |(name, _)| name)))
            }
            Self::ResolveAll => (Version::V1, "ResolveAll".to_owned()),
            Self::EventStream => (Version::V1, "EventStream".to_owned()),
        };
        let service = SERVICES.iter().find(|(_, known)| *known == version);
        format!("{}{name}", service.map_or("", |(service, _)| service))
    }
}

/// Answers a request.
pub(crate) async fn serve(core: Arc<Core>, request: Request<&mut Received>) -> Response<Reply> {
    core.cors.around(request, |request| route(&core, request)).await
}

async fn route(core: &Arc<Core>, request: Request<&mut Received>) -> Response<Reply> {
    let Some(procedure) = Procedure::at(request.uri().path()) else { return respond::not_found() };
    if request.method() != Method::POST {
        return respond::only_post();
    }
    let began = Instant::now();
    let (response, status, route) = if grpc::is_grpc(request.headers()) {
        let response = call(core, procedure, request).await.unwrap_or_else(|failed| failed);
        let status = grpc::http_status(&response);
        (response, status, Route::Grpc(procedure))
    } else {
        let response = connect(core, procedure, request).await;
        let status = response.status();
        (response, status, Route::Connect(procedure))
    };
    if procedure != Procedure::EventStream {
        core.metrics.requests.answered(route, status, began.elapsed());
    }
    response
}

/// A call by Connect, or by what nobody speaks here.
async fn connect(
    core: &Arc<Core>,
    procedure: Procedure,
    request: Request<&mut Received>,
) -> Response<Reply> {
    let content = request.headers().get(CONTENT_TYPE).and_then(ContentType::of);
    match (procedure, content) {
        (Procedure::EventStream, Some(ContentType::Stream(codec, name))) => {
            connect::stream::serve(core, codec, name, request).await
        }
        (Procedure::EventStream, _) => unsupported(ACCEPTED_STREAM),
        (procedure, Some(ContentType::Unary(codec, name))) => {
            connect::unary::serve(core, procedure, codec, name, request).await
        }
        _ => unsupported(ACCEPTED),
    }
}

fn unsupported(accepted: &'static str) -> Response<Reply> {
    let response = respond::status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    respond::with(response, HeaderName::from_static("accept-post"), accepted)
}

/// A call by gRPC; what it gives is the answer either way.
async fn call(
    core: &Arc<Core>,
    procedure: Procedure,
    request: Request<&mut Received>,
) -> Result<Response<Reply>, Response<Reply>> {
    let limit = core.max_body;
    match procedure {
        Procedure::Resolve(kind, version) => {
            let (headers, message) = grpc::receive::<ResolveRequest>(request, limit).await?;
            answerable(core, &headers).await?;
            let context = message.context.unwrap_or_default();
            let key = &message.flag_key;
            resolve(core, &headers, key, &context, kind, version, |resolved| {
                grpc::answer(envelope::wrap(|out| write(resolved, version, out)))
            })
        }
        Procedure::ResolveAll => {
            let (headers, message) = grpc::receive::<ResolveAllRequest>(request, limit).await?;
            answerable(core, &headers).await?;
            ask(core, &headers, &message.context.unwrap_or_default(), |question| {
                grpc::answer(envelope::wrap(|out| resolve_all::write(question, out)))
            })
        }
        Procedure::EventStream => {
            let (headers, _) = grpc::receive::<EventStreamRequest>(request, limit).await?;
            grpc::timeout(&headers).and_then(|timeout| {
                let selector = selector(&headers)?;
                Ok(grpc::stream(events::subscribe(core, selector, timeout, Codec::Proto)))
            })
        }
    }
    .map_err(grpc::failed)
}

/// Waits for the flags before the first load.
async fn answerable(core: &Core, headers: &HeaderMap) -> Result<(), Response<Reply>> {
    let ready = core.answerable(|| grpc::patience(headers)).await;
    ready.map_err(grpc::failed)
}

/// Resolves a flag, and writes the answer while it is borrowed from the flags.
pub(crate) fn resolve<T>(
    core: &Core,
    headers: &HeaderMap,
    key: &str,
    context: &dyn Context,
    kind: Kind,
    version: Version,
    write: impl FnOnce(&Resolved<'_>) -> T,
) -> Result<T, Status> {
    ask(core, headers, context, |question| {
        let resolved = question.resolve(key, kind, version);
        resolved.map(|resolved| write(&resolved)).map_err(status)
    })?
}

/// Answers a question about the flags as they are now.
pub(crate) fn ask<T>(
    core: &Core,
    headers: &HeaderMap,
    context: &dyn Context,
    answer: impl FnOnce(&Question<'_>) -> T,
) -> Result<T, Status> {
    let selector = selector(headers)?;
    let flags = core.store.snapshot();
    Ok(answer(&Question { core, flags: &flags, selector: &selector, context, headers }))
}

/// The selector of a request.
pub(crate) fn selector(headers: &HeaderMap) -> Result<Selector, Status> {
    selector_of(headers).map_err(|error| Status::invalid_argument(error.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procedures_by_path() {
        let at = |path: &str| Procedure::at(path);
        let resolve = |kind, version| Some(Procedure::Resolve(kind, version));
        let v1 = "/flagd.evaluation.v1.Service/";
        assert_eq!(at(&format!("{v1}ResolveInt")), resolve(Kind::Integer, Version::V1));
        assert_eq!(at(&format!("{v1}ResolveAll")), Some(Procedure::ResolveAll));
        let v2 = "/flagd.evaluation.v2.Service/";
        assert_eq!(at(&format!("{v2}ResolveObject")), resolve(Kind::Object, Version::V2));
        assert_eq!(at(&format!("{v2}EventStream")), Some(Procedure::EventStream));
        for path in
            [format!("{v1}ResolveInt"), format!("{v2}ResolveFloat"), format!("{v1}ResolveAll")]
        {
            assert_eq!(at(&path).map(Procedure::path), Some(path));
        }
        let former = "/schema.v1.Service/ResolveBoolean";
        assert_eq!(at(former), resolve(Kind::Boolean, Version::V1));
        for path in [
            "",
            "/",
            "/flagd.evaluation.v",
            "/flagd.evaluation.vé",
            "/flagd.evaluation.v3.Service/ResolveInt",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
        assert_eq!(at(&format!("{v2}ResolveAll")), None);
        assert_eq!(at(&format!("{v2}resolveint")), None);
    }
}
