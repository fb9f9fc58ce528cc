//! A program that embeds the server learns which flags clients evaluate, over every protocol, and
//! which flag sets they follow.

use std::sync::{Arc, Mutex};

use flagstaff::server::{Evaluated, Observer, Server};
use http::Method;
use serde_json::Value;

use super::client::{self, events, send, sync_v1, v1};
use crate::support::{
    proto::v1 as proto,
    wait::{bounded, eventually},
};

/// Notes everything as text.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Notes {
    fn evaluated(&self, evaluated: &Evaluated<'_>) {
        let Evaluated { flag_set, key, in_bulk, .. } = evaluated;
        self.add(format!(
            "{} {key}{}",
            flag_set.unwrap_or("-"),
            if *in_bulk { " (all)" } else { "" }
        ));
    }

    fn subscribed(&self, flag_set: Option<&str>) {
        self.add(format!("+{}", flag_set.unwrap_or("-")));
    }

    fn unsubscribed(&self, flag_set: Option<&str>) {
        self.add(format!("-{}", flag_set.unwrap_or("-")));
    }
}

/// A server with flags in two flag sets, of which `shop` is the default.
async fn serve() -> (Server, Notes) {
    let notes = Notes::default();
    let builder = Server::builder().ephemeral().default_flag_set("shop");
    let server = builder.observer(notes.clone()).bind().await.unwrap();
    for id in ["shop", "billing"] {
        let flags = server.flags().flag_set(id);
        flags.set_value("limit", 10).unwrap();
        flags.set_value("beta", true).unwrap();
    }
    (server, notes)
}

#[tokio::test]
async fn each_evaluation_is_reported_once() {
    let (server, notes) = serve().await;
    let mut grpc = v1(&server).await;
    let request = proto::ResolveBooleanRequest { flag_key: "beta".to_owned(), context: None };
    bounded("gRPC", grpc.resolve_boolean(request)).await.unwrap();
    assert_eq!(notes.take(), ["shop beta"]);

    // An evaluation that fails is one, and a flag that does not exist is none.
    for (key, expected) in [("limit", &["shop limit"][..]), ("other", &[])] {
        let request = proto::ResolveBooleanRequest { flag_key: key.to_owned(), context: None };
        bounded("gRPC", grpc.resolve_boolean(request)).await.unwrap_err();
        assert_eq!(notes.take(), expected);
    }

    let connect = "/flagd.evaluation.v1.Service/ResolveBoolean";
    let headers = [("content-type", "application/json"), ("flagd-selector", "flagSetId=billing")];
    let at = server.evaluation_addr();
    send(at, Method::POST, connect, &headers, r#"{"flagKey": "beta"}"#).await;
    assert_eq!(notes.take(), ["billing beta"]);

    let path = "/ofrep/v1/evaluate/flags";
    let ofrep = async |key: &str| {
        let path = format!("{path}{key}");
        send(server.ofrep_addr(), Method::POST, &path, &[], "{}").await.json()
    };
    assert_ne!(ofrep("/beta").await["value"], Value::Null);
    assert_eq!(notes.take(), ["shop beta"]);
    ofrep("").await;
    assert_eq!(notes.take(), ["shop beta (all)", "shop limit (all)"]);

    bounded("gRPC", grpc.resolve_all(proto::ResolveAllRequest { context: None })).await.unwrap();
    assert_eq!(notes.take(), ["shop beta (all)", "shop limit (all)"]);
}

#[tokio::test]
async fn streams_are_reported_from_their_beginning_to_their_end() {
    let (server, notes) = serve().await;
    let mut client = v1(&server).await;
    for (selector, begun, ended) in [
        ("", "+shop", "-shop"),
        ("flagSetId=billing", "+billing", "-billing"),
        ("memory", "+-", "--"),
    ] {
        let stream = events(&mut client, selector).await;
        assert_eq!(notes.take(), [begun], "{selector}");
        drop(stream);
        let mut seen = Vec::new();
        eventually("the end of the stream", || {
            seen.extend(notes.take());
            !seen.is_empty()
        })
        .await;
        assert_eq!(seen, [ended], "{selector}");
    }

    let mut sync = client::sync(&server).await;
    let request = sync_v1::FetchAllFlagsRequest::default();
    bounded("the definition", sync.fetch_all_flags(request)).await.unwrap();
    assert_eq!(notes.take(), ["+shop", "-shop"]);
    let request = sync_v1::SyncFlagsRequest {
        selector: "flagSetId=billing".to_owned(),
        ..Default::default()
    };
    let mut stream = bounded("a stream", sync.sync_flags(request)).await.unwrap().into_inner();
    bounded("the definition", stream.message()).await.unwrap().unwrap();
    assert_eq!(notes.take(), ["+billing"]);
    server.shutdown().await;
    assert_eq!(notes.take(), ["-billing"]);
}
