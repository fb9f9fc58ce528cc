//! Requests before a slow source has given its flags: flagd says that they do not exist (flagd
//! contract, section 1), our server waits.

use std::time::Duration;

use axum::{Router, routing::get};
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{
    subject::flags,
    support::{
        flagd::{self, FlagdProcess},
        proto::{V1, v1},
        wait::bounded,
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
        loop {
            let flag_key = "flag".to_owned();
            let request = v1::ResolveStringRequest { flag_key, context: None };
            match V1::new(channel.clone()).resolve_string(request).await {
                // It does not listen yet.
                Err(status) if status.code() == Code::Unavailable => {
                    // A poll; what follows bounds it.
                    sleep(Duration::from_millis(5)).await;
                }
                answer => return answer.map(|answer| answer.into_inner().value),
            }
        }
    };
    tokio::pin!(asked);
    let early = timeout(Duration::from_secs(1), &mut asked).await;
    if flagd::find().unwrap().is_of_this_package() {
        assert!(early.is_err(), "{early:?} before the flags");
        fast.send_replace(true);
        assert_eq!(bounded("the flag", asked).await.unwrap(), "loaded");
    } else {
        assert_eq!(early.unwrap().unwrap_err().code(), Code::NotFound);
    }
    flagd.kill();
    fast.send_replace(true);
    web.abort();
}
