//! The floors: the same call by tonic's generated client, and by the h2 crate alone.

use std::collections::BTreeMap;

use h2::client::SendRequest;
use http::{Method, Request, Version, header};
use open_feature::{EvaluationContext, EvaluationContextFieldValue};
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use prost_types::Struct;
use tonic::transport::Channel;

use super::client::{Client, DEADLINE, KEY};
use crate::support::{
    ports::local,
    proto::{
        V2, connect,
        v2::{ResolveBooleanRequest, ResolveBooleanResponse, service_client::ServiceClient},
    },
};

#[derive(Clone)]
pub(super) struct RawTonic(Channel);

impl RawTonic {
    pub(super) async fn connect(port: u16) -> Self {
        Self(connect(format!("http://127.0.0.1:{port}")).await)
    }
}

impl Client for RawTonic {
    async fn call(&self, context: &EvaluationContext) -> bool {
        let mut client: V2 = ServiceClient::new(self.0.clone());
        let mut request = tonic::Request::new(message(context));
        request.set_timeout(DEADLINE);
        client.resolve_boolean(request).await.unwrap().into_inner().value()
    }
}

#[derive(Clone)]
pub(super) struct BareH2 {
    requests: SendRequest<Bytes>,
    uri: http::Uri,
}

impl BareH2 {
    pub(super) async fn connect(port: u16) -> Self {
        let stream = tokio::net::TcpStream::connect(local(port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let path = "flagd.evaluation.v2.Service/ResolveBoolean";
        Self { requests, uri: format!("http://127.0.0.1:{port}/{path}").parse().unwrap() }
    }
}

impl Client for BareH2 {
    async fn call(&self, context: &EvaluationContext) -> bool {
        let message = message(context);
        let mut frame = BytesMut::with_capacity(5 + message.encoded_len());
        frame.put_u8(0);
        frame.put_u32(message.encoded_len().try_into().unwrap());
        message.encode(&mut frame).unwrap();

        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(self.uri.clone())
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::USER_AGENT, "h2")
            .header("grpc-timeout", "10S")
            .body(())
            .unwrap();
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, mut body) = requests.send_request(request, false).unwrap();
        body.send_data(frame.freeze(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut received = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            received.extend_from_slice(&data);
        }
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        ResolveBooleanResponse::decode(&received[5..]).unwrap().value()
    }
}

fn message(context: &EvaluationContext) -> ResolveBooleanRequest {
    let fields = context.custom_fields.iter().map(|(key, value)| match value {
        EvaluationContextFieldValue::String(value) => (key.clone(), value.as_str().into()),
        other => panic!("{other:?} is not in this benchmark"),
    });
    let mut fields: BTreeMap<_, _> = fields.collect();
    if let Some(key) = &context.targeting_key {
        fields.insert("targetingKey".to_owned(), key.as_str().into());
    }
    ResolveBooleanRequest { flag_key: KEY.to_owned(), context: Some(Struct { fields }) }
}
