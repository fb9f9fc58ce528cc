//! A server that resets each call with the next reason of a list, and responds once the list is
//! exhausted. Event streams are ready and stay open.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
};

use h2::{
    Reason, RecvStream,
    server::{Connection, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{background::Background, ports, proto::v2};

/// The server. It runs on a thread of its own, and stops when dropped.
#[derive(Debug)]
pub struct ResettingServer {
    port: u16,
    script: Arc<Mutex<Script>>,
    _background: Background,
}

#[derive(Debug, Default)]
struct Script {
    reasons: VecDeque<Reason>,
    calls: usize,
}

impl ResettingServer {
    pub fn start() -> Self {
        let listener = ports::listen();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::<Mutex<Script>>::default();
        let background = Background::spawn("resetting", {
            let script = Arc::clone(&script);
            || accept(listener, script)
        });
        Self { port, script, _background: background }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next calls are reset for these reasons.
    pub fn reset(&self, reasons: impl IntoIterator<Item = Reason>) {
        *self.script.lock().unwrap() = Script { reasons: reasons.into_iter().collect(), calls: 0 };
    }

    /// How many calls have arrived since then, without streams.
    pub fn calls(&self) -> usize {
        self.script.lock().unwrap().calls
    }
}

async fn accept(listener: std::net::TcpListener, script: Arc<Mutex<Script>>) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (io, _) = listener.accept().await.unwrap();
        tokio::spawn(connection(io, Arc::clone(&script)));
    }
}

/// How it ends is for the client to judge.
async fn connection(io: TcpStream, script: Arc<Mutex<Script>>) {
    let Ok(mut connection): Result<Connection<_, Bytes>, _> = h2::server::handshake(io).await
    else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, Arc::clone(&script)));
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    script: Arc<Mutex<Script>>,
) {
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    if request.uri().path().ends_with("/EventStream") {
        let ready = v2::EventStreamResponse { r#type: "provider_ready".to_owned(), data: None };
        let mut stream = respond.send_response(response, false).unwrap();
        stream.send_data(framed(&ready), false).unwrap();
        return pending().await;
    }
    let reason = {
        let mut script = script.lock().unwrap();
        script.calls += 1;
        script.reasons.pop_front()
    };
    if let Some(reason) = reason {
        return respond.send_reset(reason);
    }
    let value = v2::ResolveBooleanResponse {
        value: Some(true),
        reason: "TARGETING_MATCH".to_owned(),
        ..Default::default()
    };
    let mut stream = respond.send_response(response, false).unwrap();
    stream.send_data(framed(&value), false).unwrap();
    let trailers = [("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))];
    stream.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
}

/// An uncompressed message, framed for gRPC.
fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len().try_into().unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}
