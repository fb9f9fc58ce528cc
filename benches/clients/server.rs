//! A server that says what flagd would, without looking at what it is asked, so that a client does not
//! wait for it.

use std::convert::Infallible;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, iter, pending};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A gRPC message: no compression, its length, and a `ResolveBooleanResponse`.
const ANSWER: &[u8] = b"\0\0\0\0\x17\x08\x01\x12\x0fTARGETING_MATCH\x1a\x02on";
/// An `EventStreamResponse`.
const READY: &[u8] = b"\0\0\0\0\x10\x0a\x0eprovider_ready";

/// Serves without end.
pub(super) async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let connection = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let data = |bytes| Frame::data(Bytes::from_static(bytes));
    let body = if request.uri().path().ends_with("/EventStream") {
        StreamBody::new(iter([Ok(data(READY))]).chain(pending())).boxed_unsync()
    } else {
        let _ = request.into_body().collect().await;
        let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        let trailers = Frame::trailers(HeaderMap::from_iter([status]));
        StreamBody::new(iter([Ok(data(ANSWER)), Ok(trailers)])).boxed_unsync()
    };
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}
