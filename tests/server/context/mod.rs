//! What the server adds to the context: docs/server.md, "Context".

mod changes;
mod source;

use flagstaff::server::Server;
use serde_json::json;

use crate::{
    client::{post, serve_with, sync, sync_v1, v2, with_header},
    support::{json::from_struct, proto},
};

/// Headers override constants, and these override the caller's context, over every protocol.
#[tokio::test]
async fn added_to_every_evaluation() {
    let builder = Server::builder().context_value("who", "w").context_from_header("X-Who", "who");
    let server = serve_with(builder).await;
    let context = proto::v2::ResolveStringRequest {
        flag_key: "echo".to_owned(),
        context: Some(crate::support::json::to_struct(&json!({"who": "v"}))),
    };
    let mut client = v2(&server).await;
    let value = client.resolve_string(context.clone()).await.unwrap().into_inner().value;
    assert_eq!(value.as_deref(), Some("w"));
    let request = with_header(context, "x-who", "x");
    let value = client.resolve_string(request).await.unwrap().into_inner().value;
    assert_eq!(value.as_deref(), Some("x"));

    let body = r#"{"flagKey": "echo", "context": {"who": "v"}}"#;
    for (headers, expected) in [
        (&[("content-type", "application/json")][..], "w"),
        (&[("content-type", "application/json"), ("x-who", "x")], "x"),
    ] {
        let resolve = "/flagd.evaluation.v1.Service/ResolveString";
        let answer = post(server.evaluation_addr(), resolve, headers, body).await;
        assert_eq!(answer.json()["value"], expected);
        let echo = "/ofrep/v1/evaluate/flags/echo";
        let answer = post(server.ofrep_addr(), echo, headers, body).await;
        assert_eq!(answer.json()["value"], expected);
    }
}

/// docs/flagd.md, "Sync service": the sync context; and `sync_metadata(false)`.
#[tokio::test]
async fn the_sync_context_is_sent_to_clients_that_evaluate_in_process() {
    let server = serve_with(Server::builder().context_value("region", "north")).await;
    let mut client = sync(&server).await;
    let mut stream =
        client.sync_flags(sync_v1::SyncFlagsRequest::default()).await.unwrap().into_inner();
    let message = stream.message().await.unwrap().unwrap();
    assert_eq!(from_struct(&message.sync_context.unwrap()), json!({"region": "north"}));
    let metadata = client.get_metadata(sync_v1::GetMetadataRequest {}).await.unwrap().into_inner();
    assert_eq!(from_struct(&metadata.metadata.unwrap()), json!({"region": "north"}));

    let server = serve_with(Server::builder().sync_metadata(false)).await;
    let mut client = sync(&server).await;
    let status = client.get_metadata(sync_v1::GetMetadataRequest {}).await.unwrap_err();
    let expected = (tonic::Code::Unimplemented, "metadata endpoint disabled");
    assert_eq!((status.code(), status.message()), expected);
    let message = client.sync_flags(sync_v1::SyncFlagsRequest::default()).await.unwrap();
    let message = message.into_inner().message().await.unwrap().unwrap();
    assert_eq!(message.sync_context.map(|context| context.fields.len()), Some(0));
}
