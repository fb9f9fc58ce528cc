//! The other end of a server: connections that send bytes, and requests over them.

use axum::Router;
use flagstaff::http::{Server, ServerBuilder};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::wait::bounded;

/// A router on a free port of 127.0.0.1.
pub async fn serve(builder: ServerBuilder, router: Router) -> Server {
    let bound = builder.listen(([127, 0, 0, 1], 0)).bind().await.unwrap();
    bound.serve(move |_| router.clone())
}

/// A raw connection.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn open(server: &Server) -> Self {
        Self(TcpStream::connect(server.addresses()[0]).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// What the server sends, up to and including this text.
    pub async fn until(&mut self, text: &str) -> String {
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains(text) {
            let read = bounded(text, self.0.read_buf(&mut received)).await.unwrap();
            assert_ne!(read, 0, "the end before {text:?}: {}", String::from_utf8_lossy(&received));
        }
        String::from_utf8(received).unwrap()
    }

    /// What the server sends until it closes the connection. A reset is an end too.
    pub async fn end(&mut self) -> String {
        let mut received = Vec::new();
        let _ = bounded("the end of the connection", self.0.read_to_end(&mut received)).await;
        String::from_utf8_lossy(&received).into_owned()
    }
}

pub type Answer = (StatusCode, String);

async fn answer(response: http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = bounded("a body", body.collect()).await.unwrap().to_bytes();
    (parts.status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// One request over HTTP/1.1.
pub async fn send_1<S>(stream: S, request: Request<Full<Bytes>>) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    answer(bounded("a response", sender.send_request(request)).await.unwrap()).await
}

/// An HTTP/2 client.
pub async fn connect_2<S>(stream: S) -> http2::SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One request over HTTP/2.
pub async fn send_2<S>(stream: S, request: Request<Full<Bytes>>) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut sender = connect_2(stream).await;
    answer(bounded("a response", sender.send_request(request)).await.unwrap()).await
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://localhost{path}"))
        .header("host", "x")
        .body(Full::default())
        .unwrap()
}

pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("http://localhost{path}");
    Request::post(uri).header("host", "x").body(Full::new(body.into())).unwrap()
}
