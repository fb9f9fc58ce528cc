//! Requests before a slow source has provided its flags: flagd says that they do not exist, our
//! server waits (docs/flagd.md, "Differences in the server").

use std::time::Duration;

use axum::{Router, routing::get};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tonic::Code;

use crate::{
    subject::flags,
    support::{
        flagd::{self, FlagdProcess},
        proto::{V1, v1},
        wait::becomes_true,
    },
    trial::trials,
};

trials![a_slow_source];

async fn a_slow_source() {
    let (fast, gate) = watch::channel(true);
    let answer = get(move || {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|fast| *fast).await;
            flags("loaded").to_string()
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/flags.json", listener.local_addr().unwrap());
    let web = tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    let builder = FlagdProcess::with(&flags("file")).arg("--uri").arg(uri);
    let mut flagd = builder.start().await.unwrap();

    fast.send_replace(false);
    // On the same ports, without a file that gives flags meanwhile.
    flagd.write_flags(&serde_json::json!({ "flags": {} }));
    flagd.spawn();
    let channel = flagd.endpoint().unwrap().connect_lazy();
    let asked = async {
        let mut answer = None;
        becomes_true("an answer", async || {
            let flag_key = "flag".to_owned();
            let request = v1::ResolveStringRequest { flag_key, context: None };
            let asked = V1::new(channel.clone()).resolve_string(request).await;
            answer = Some(asked.map(|answer| answer.into_inner().value));
            // Before it listens, nobody is there.
            !matches!(&answer, Some(Err(status)) if status.code() == Code::Unavailable)
        })
        .await;
        answer.unwrap()
    };
    if flagd::find().unwrap().is_of_this_package() {
        tokio::pin!(asked);
        let early = timeout(Duration::from_secs(1), &mut asked).await;
        assert!(early.is_err(), "{early:?} before the flags");
        fast.send_replace(true);
        assert_eq!(asked.await.unwrap(), "loaded");
    } else {
        assert_eq!(asked.await.unwrap_err().code(), Code::NotFound);
    }
    flagd.kill();
    fast.send_replace(true);
    web.abort();
}
