//! Requests before a slow source has provided its flags: flagd responds that the flags do not
//! exist, our server waits (docs/flagd.md, "Differences in the server").

use axum::{Router, routing::get};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tonic::Code;

use crate::{
    subject::flags,
    support::{
        flagd::{self, FlagdProcess},
        ports::local,
        proto::{V1, connect, v1},
        proxy::gate::TcpGate,
        wait::{becomes_true, bounded},
    },
    trial::trials,
};

trials![a_slow_source];

async fn a_slow_source() {
    let (fast, gate) = watch::channel(true);
    let response = get(move || {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|fast| *fast).await;
            flags("loaded").to_string()
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/flags.json", listener.local_addr().unwrap());
    let web = tokio::spawn(async { axum::serve(listener, Router::new().fallback(response)).await });
    let builder = FlagdProcess::with(&flags("file")).arg("--uri").arg(uri);
    let mut flagd = builder.start().await.unwrap();

    fast.send_replace(false);
    // On the same ports, without flags from a file meanwhile.
    flagd.write_flags(&serde_json::json!({ "flags": {} }));
    flagd.spawn();
    becomes_true("flagd to listen", async || TcpStream::connect(local(flagd.port())).await.is_ok())
        .await;
    let gate = TcpGate::to_port(flagd.port());
    let mut client = V1::new(connect(gate.uri()).await);
    let call = tokio::spawn(async move {
        let request = v1::ResolveStringRequest { flag_key: "flag".to_owned(), context: None };
        client.resolve_string(request).await.map(|response| response.into_inner().value)
    });
    let value = if flagd::find().unwrap().is_of_this_package() {
        // The source responds only after the request has reached the server.
        gate.wait_until_passed("the request", |seen| seen.begun == 1).await;
        fast.send_replace(true);
        Ok("loaded".to_owned())
    } else {
        Err(Code::NotFound)
    };
    let response = bounded("a response", call).await.unwrap();
    assert_eq!(response.map_err(|status| status.code()), value);
    flagd.kill();
    fast.send_replace(true);
    web.abort();
}
