//! A client for Connect's streams.

use flagstaff::server::Server;
use http::{Request, response::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::wait::bounded;

pub const V1: &str = "/flagd.evaluation.v1.Service/EventStream";
pub const JSON: (&str, &str) = ("content-type", "application/connect+json");

/// A message in its envelope.
pub fn envelope(flags: u8, message: impl AsRef<[u8]>) -> Bytes {
    let message = message.as_ref();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags][..], &length, message].concat().into()
}

/// An open stream.
pub struct Stream {
    pub head: Parts,
    pub body: Incoming,
    bytes: Vec<u8>,
}

impl Stream {
    /// Opens a stream over HTTP/1.1 or HTTP/2.
    pub async fn open(
        server: &Server,
        version: u8,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Self {
        let io = TokioIo::new(TcpStream::connect(server.evaluation_addr().unwrap()).await.unwrap());
        let mut request = Request::post(format!("http://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = bounded("a stream", async {
            if version == 1 {
                let request = request.header("host", "localhost").body(Full::new(body)).unwrap();
                let (mut sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            } else {
                let request = request.body(Full::new(body)).unwrap();
                let executor = TokioExecutor::new();
                let (mut sender, connection) = http2::handshake(executor, io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
        });
        let (head, body) = response.await.into_parts();
        Self { head, body, bytes: Vec::new() }
    }

    /// A stream of JSON that is ready.
    pub async fn ready(server: &Server, headers: &[(&str, &str)]) -> Self {
        let headers = [&[JSON], headers].concat();
        let mut stream = Self::open(server, 1, V1, &headers, envelope(0, "{}")).await;
        assert_eq!(stream.event().await, json!({"type": "provider_ready", "data": {}}));
        stream
    }

    /// The next envelope; none at the end.
    pub async fn next(&mut self) -> Option<(u8, Bytes)> {
        loop {
            if let Some((head, rest)) = self.bytes.split_first_chunk::<5>() {
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                if rest.len() >= length {
                    let message = Bytes::copy_from_slice(&rest[..length]);
                    let flags = head[0];
                    self.bytes.drain(..5 + length);
                    return Some((flags, message));
                }
            }
            let Some(frame) = bounded("a message", self.body.frame()).await else {
                assert!(self.bytes.is_empty(), "{:?}", self.bytes);
                return None;
            };
            let data = frame.unwrap().into_data().expect("no trailers");
            self.bytes.extend_from_slice(&data);
        }
    }

    pub async fn event(&mut self) -> Value {
        let (flags, message) = self.next().await.expect("the stream is open");
        assert_eq!(flags, 0, "{message:?}");
        serde_json::from_slice(&message).unwrap()
    }

    /// What the stream ends with, and nothing after it.
    pub async fn end(&mut self) -> Value {
        let (flags, message) = self.next().await.expect("an envelope at the end");
        assert_eq!(flags, 2, "{message:?}");
        assert_eq!(self.next().await, None);
        serde_json::from_slice(&message).unwrap()
    }
}
