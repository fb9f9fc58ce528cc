//! The generated service traits, v1 and v2, over the shared script.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use http::{HeaderMap, Response as HttpResponse, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use prost_types::Struct;
use serde_json::Value;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, body::Body, service::Routes};

use super::{
    Method, Missing, Version,
    flags::Answer,
    observed::Call,
    script::{Core, Event},
};
use crate::support::{
    json::to_struct,
    proto::{v1, v2},
};

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone, Debug)]
struct Evaluation(Arc<Core>);

/// The HTTP handler of a server.
pub(super) fn handler(
    core: Arc<Core>,
) -> impl Fn(http::Request<Incoming>) -> Answering + Clone + Send + 'static {
    let evaluation = Evaluation(Arc::clone(&core));
    let routes = Routes::new(v1::service_server::ServiceServer::new(evaluation.clone()))
        .add_service(v2::service_server::ServiceServer::new(evaluation))
        .prepare();
    let routes = TowerToHyperService::new(routes);
    move |mut request| {
        let missing = {
            let script = core.script.lock().unwrap();
            (!script.versions.serve(request.uri().path())).then_some(script.missing)
        };
        if let Some(missing) = missing {
            core.observed.send_modify(|observed| observed.unserved += 1);
            return Box::pin(async move { not_served(missing) });
        }
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(authority);
        }
        let response = routes.call(request);
        Box::pin(async { response.await.unwrap_or_else(|never: Infallible| match never {}) })
    }
}

type Answering = Pin<Box<dyn Future<Output = HttpResponse<Body>> + Send>>;

/// The response to a call of an unknown service.
fn not_served(missing: Missing) -> HttpResponse<Body> {
    let unimplemented = Status::unimplemented("unknown service");
    match missing {
        Missing::NotFound => HttpResponse::builder()
            .status(StatusCode::NOT_FOUND)
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Body::new("404 page not found\n".to_owned()))
            .unwrap(),
        Missing::InHeaders => unimplemented.into_http(),
        Missing::InTrailers => {
            let mut trailers = HeaderMap::new();
            unimplemented.add_header(&mut trailers).unwrap();
            let body = Empty::new().with_trailers(async { Some(Ok(trailers)) });
            let grpc = HttpResponse::builder().header(CONTENT_TYPE, "application/grpc");
            grpc.body(Body::new(body)).unwrap()
        }
    }
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn object(value: &Value) -> Option<Struct> {
    value.is_object().then(|| to_struct(value))
}

/// v1 has no presence: what is absent is zero.
fn bare<T: Default>(value: Option<T>) -> T {
    value.unwrap_or_default()
}

fn optional<T>(value: Option<T>) -> Option<T> {
    value
}

/// One version's trait: the methods of both versions have the same names and fields.
macro_rules! evaluation {
    (
        $proto:ident, $version:expr, $presence:ident,
        { $($name:ident, $method:ident, $request:ident, $response:ident, $read:expr, $wrap:ident;)* }
        $($more:tt)*
    ) => {
        #[tonic::async_trait]
        impl $proto::service_server::Service for Evaluation {
            type EventStreamStream = Events<$proto::EventStreamResponse>;

            $(async fn $name(
                &self,
                request: Request<$proto::$request>,
            ) -> Result<Response<$proto::$response>, Status> {
                let mut call = arrival(($version, Method::$method), &request);
                let message = request.into_inner();
                call.flag_key = message.flag_key;
                call.context = message.context;
                let Answer { value, reason, variant, metadata } = self.0.resolve(call).await?;
                Ok(Response::new($proto::$response {
                    value: $wrap(value.as_ref().and_then($read)),
                    reason,
                    variant: $presence(variant),
                    metadata,
                }))
            })*

            async fn event_stream(
                &self,
                request: Request<$proto::EventStreamRequest>,
            ) -> Result<Response<Self::EventStreamStream>, Status> {
                let call = arrival(($version, Method::EventStream), &request);
                let events = self.0.open_stream(call).await?;
                let message = |event: Event| $proto::EventStreamResponse {
                    r#type: event.kind,
                    data: event.data,
                };
                Ok(Response::new(Box::pin(events.map(move |event| event.map(message)))))
            }

            $($more)*
        }
    };
}

fn arrival<T>(of: (Version, Method), request: &Request<T>) -> Call {
    Call::new(of, request.metadata(), request.extensions())
}

evaluation! {
    v1, Version::V1, bare,
    {
        resolve_boolean, Boolean, ResolveBooleanRequest, ResolveBooleanResponse, Value::as_bool, bare;
        resolve_string, String, ResolveStringRequest, ResolveStringResponse, string, bare;
        resolve_float, Float, ResolveFloatRequest, ResolveFloatResponse, Value::as_f64, bare;
        resolve_int, Int, ResolveIntRequest, ResolveIntResponse, Value::as_i64, bare;
        resolve_object, Object, ResolveObjectRequest, ResolveObjectResponse, object, optional;
    }

    async fn resolve_all(
        &self,
        request: Request<v1::ResolveAllRequest>,
    ) -> Result<Response<v1::ResolveAllResponse>, Status> {
        let mut call = arrival((Version::V1, Method::All), &request);
        call.context = request.into_inner().context;
        let answers = self.0.resolve_all(call).await?;
        let flags = answers.into_iter().map(|(key, answer)| (key, any_flag(answer))).collect();
        Ok(Response::new(v1::ResolveAllResponse { flags, metadata: Some(Struct::default()) }))
    }
}

evaluation! {
    v2, Version::V2, optional,
    {
        resolve_boolean, Boolean, ResolveBooleanRequest, ResolveBooleanResponse, Value::as_bool, optional;
        resolve_string, String, ResolveStringRequest, ResolveStringResponse, string, optional;
        resolve_float, Float, ResolveFloatRequest, ResolveFloatResponse, Value::as_f64, optional;
        resolve_int, Int, ResolveIntRequest, ResolveIntResponse, Value::as_i64, optional;
        resolve_object, Object, ResolveObjectRequest, ResolveObjectResponse, object, optional;
    }
}

fn any_flag(answer: Answer) -> v1::AnyFlag {
    use v1::any_flag::Value as Any;
    let value = answer.value.map(|value| match value {
        Value::Bool(value) => Any::BoolValue(value),
        Value::String(value) => Any::StringValue(value),
        Value::Number(value) => Any::DoubleValue(value.as_f64().unwrap()),
        other => Any::ObjectValue(to_struct(&other)),
    });
    let (reason, metadata) = (answer.reason, answer.metadata);
    v1::AnyFlag { value, reason, variant: bare(answer.variant), metadata }
}
