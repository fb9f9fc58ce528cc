//! Sources of `--sources` and `grpcs://`, opened: from another server, over TLS, and from a URL.

use std::{
    convert::Infallible,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::http::{HeaderMap, Response};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;

use crate::{
    one_flag,
    options::Started,
    program::{PATH, flagstaff, run},
    support::{
        certs::Certificates,
        flagd::{FlagdCommand, FlagdProcess},
        ports::{listen, local},
        servers::http2::{self, Connections, Listener},
        servers::sync_server::SyncServer,
        wait::eventually,
    },
};

/// A server of this package with TLS and two flag sets.
async fn encrypted(certificates: &Certificates) -> FlagdProcess {
    let mut other = one_flag();
    other["metadata"] = json!({ "flagSetId": "other" });
    other["flags"]["flag"]["defaultVariant"] = json!("off");
    let mut one = one_flag();
    one["metadata"] = json!({ "flagSetId": "one" });
    let server = FlagdProcess::with(&one).source("other.json", &other).tls(certificates);
    server.command(FlagdCommand::Binary(PATH.into())).start().await.unwrap()
}

/// A server with only this source in `--sources`.
async fn following(source: Value) -> Started {
    let sources = format!("--sources={}", json!([source]));
    Started::new(&TempDir::new().unwrap(), &[sources], &[]).await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn one_follows_a_flag_set_of_another_over_tls() {
    let certificates = Certificates::new();
    let first = encrypted(&certificates).await;
    let (uri, ca) = (format!("localhost:{}", first.ports().sync), certificates.ca());
    for (set, value) in [("one", true), ("other", false)] {
        let second = following(json!({
            "uri": uri, "provider": "grpc", "tls": true, "certPath": text(&ca),
            "selector": format!("flagSetId={set}"),
        }))
        .await;
        let answer = second.ofrep("flag", "", "").await;
        assert!(answer.contains(&format!(r#""value":{value}"#)), "{set}: {answer}");
    }
}

/// The authorities are the system's, which a variable of rustls can name.
#[tokio::test]
async fn one_follows_another_over_grpcs() {
    let certificates = Certificates::new();
    let first = encrypted(&certificates).await;
    let uri = format!("-f=grpcs://localhost:{}", first.ports().sync);
    let ca = certificates.ca();
    let directory = TempDir::new().unwrap();
    let second = Started::new(&directory, &[uri], &[("SSL_CERT_FILE", text(&ca))]).await;
    let answer = second.ofrep("flag", "", "").await;
    assert!(answer.contains(r#""value":false"#), "the later of the two: {answer}");
}

#[tokio::test]
async fn the_provider_id_and_the_selector_are_sent() {
    let first = SyncServer::start(&one_flag());
    let uri = format!("127.0.0.1:{}", first.port());
    let source = json!({ "uri": uri, "provider": "grpc", "providerID": "p", "selector": "s" });
    let _second = following(source).await;
    let seen = first.seen().streams;
    assert_eq!((&*seen[0].0, &*seen[0].1), ("p", "s"));
}

/// A web server with a definition, and the requests that it received, with their times.
async fn web() -> (String, Arc<Mutex<Vec<(Instant, HeaderMap)>>>) {
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let log = asked.clone();
    let answer = async move |headers: HeaderMap| {
        log.lock().unwrap().push((Instant::now(), headers));
        one_flag().to_string()
    };
    let files = axum::Router::new().route("/flags.json", axum::routing::get(answer));
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let uri = format!("http://{}/flags.json", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, files).await });
    (uri, asked)
}

#[tokio::test]
async fn a_url_is_fetched_with_authorization() {
    for (field, given, sent) in
        [("authHeader", "Basic hush", "Basic hush"), ("bearerToken", "hush", "Bearer hush")]
    {
        let (uri, asked) = web().await;
        let server = following(json!({ "uri": uri, "provider": "http", field: given })).await;
        let answer = server.ofrep("flag", "", "").await;
        assert!(answer.contains(r#""value":true"#), "{answer}");
        assert_eq!(asked.lock().unwrap()[0].1["authorization"], sent);
    }
}

#[tokio::test]
async fn a_url_is_fetched_with_headers() {
    let (uri, asked) = web().await;
    let headers = json!({ "X-Key": "hush", "X-Team": "a" });
    let server = following(json!({
        "uri": uri, "provider": "http", "headers": headers,
        // Fields of flagd's that have no effect here.
        "maxMsgSize": 5_000_000, "intervalSeed": 3, "incrementalUpdates": false,
    }))
    .await;
    let answer = server.ofrep("flag", "", "").await;
    assert!(answer.contains(r#""value":true"#), "{answer}");
    let asked = asked.lock().unwrap();
    for (name, value) in [("x-key", "hush"), ("x-team", "a")] {
        assert_eq!(asked[0].1[name], value);
    }
}

#[tokio::test]
async fn calls_to_flagd_carry_headers() {
    let seen = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let listener = listen();
    let uri = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (_goaway, going_away) = watch::channel(false);
    let server = http2::Server {
        listener: Listener::Tcp(listener),
        tls: None,
        counts: Arc::new(watch::Sender::<Connections>::default()),
        goaway: going_away,
    };
    let log = seen.clone();
    tokio::spawn(server.run(move |request| {
        log.lock().unwrap().push(request.headers().clone());
        async { Response::new(String::new()) }
    }));
    let sources =
        json!([{ "uri": uri, "provider": "grpc", "headers": { "X-Key": "hush" } }]).to_string();
    let mut command = flagstaff(&["start", "-p=0", "-m=0", "-g=0", "-r=0", "-s", &sources]);
    let _server = command.stderr(Stdio::null()).spawn().unwrap();
    eventually("a request", || !seen.lock().unwrap().is_empty()).await;
    assert_eq!(seen.lock().unwrap()[0]["x-key"], "hush");
}

/// However much is logged, and whether a source works or not.
#[tokio::test]
async fn no_secret_is_logged() {
    let (uri, _) = web().await;
    let secret = |uri: &str| uri.replace("http://", "http://zoe:hush@") + "?sig=hush#hush";
    let absent = secret(&uri.replace("flags.json", "absent.json"));
    let first = secret(&uri);
    let second = json!([{
        "uri": secret(&uri), "provider": "http", "bearerToken": "hush", "headers": { "k": "hush" },
    }])
    .to_string();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = flagstaff(&["start", "-x", "-p=0", "-m=0", "-g=0", "-r=0"]);
    command.args(["-f", &first, "-f", &absent, "-s", &second]).stderr(log.reopen().unwrap());
    let _server = command.spawn().unwrap();
    let read = || std::fs::read_to_string(log.path()).unwrap();
    eventually("three outcomes", || {
        let text = read();
        text.matches("flags were loaded").count() == 2 && text.contains("404")
    })
    .await;
    let text = read();
    assert!(text.contains(&uri) && text.contains(&format!("{uri}#2")), "{text}");
    assert!(!text.contains("hush") && !text.contains("zoe"), "{text}");

    for args in [
        ["-f", "http://zoe:hush@host:99999/?hush"],
        ["-f", "s3://zoe:hush@bucket/object?hush"],
        ["-f", "gopher://zoe:hush@host?hush"],
        ["-f", "grpc://host:8015/x?token=hush"],
        ["-f", "grpcs://host:8015#hush"],
        ["-f", "envoy://host:8015/x?hush"],
        ["-f", "dns:host:8015?hush"],
        ["-s", r#"[{"uri": "https://h/x?hush", "provider": "grpc"}]"#],
        ["-s", r#"[{"uri": "host/?hush", "provider": "http"}]"#],
        [
            "-s",
            r#"[{"uri": "http://zoe:hush@host", "provider": "http", "headers": {"k": "hush
"}}]"#,
        ],
        ["-s", r#"[{"uri": "http://host", "provider": "http", "bearerToken": "hush\n"}]"#],
        ["-s", r#"[{"uri": "http://host", "provider": "http", "authHeader": "Basic hush\r\n"}]"#],
        ["-s", r#"[{"uri": "http://zoe:hush@host", "provider": "http", "hush": 1, "x": "hush"}"#],
    ] {
        let finished = run(&[&["start"], &args[..]].concat()).await;
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(!finished.err.contains("hush") && !finished.err.contains("zoe"), "{finished:?}");
    }
}

/// Fields of flagd's that have no effect here are ignored, and the log says so.
#[tokio::test]
async fn fields_without_an_effect_are_logged() {
    let (uri, _) = web().await;
    let sources = json!([{
        "uri": uri, "provider": "http",
        "maxMsgSize": 5, "intervalSeed": 3, "incrementalUpdates": false,
    }]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = flagstaff(&["start", "-z=json", "-p=0", "-m=0", "-g=0", "-r=0", "-s"]);
    command.arg(sources.to_string()).stderr(log.reopen().unwrap());
    let _server = command.spawn().unwrap();
    let read = || std::fs::read_to_string(log.path()).unwrap();
    eventually("the server to listen", || read().contains("\"listening\"")).await;
    let text = read();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let warned: Vec<_> = lines.filter(|line| line["level"] == "WARN").collect();
    let fields: std::collections::BTreeSet<_> =
        warned.iter().map(|line| line["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["incrementalUpdates", "intervalSeed", "maxMsgSize"].into());
    for line in warned {
        assert_eq!(line["message"], "a field of --sources has no effect");
    }
}

/// The proxy of the environment is used for a host that only it can resolve.
#[tokio::test]
async fn a_url_is_fetched_through_the_proxy_of_the_environment() {
    let (uri, asked) = web().await;
    let proxy = uri.strip_suffix("/flags.json").unwrap();
    let args = ["-f=http://flags.invalid/flags.json"];
    let environment = [("HTTP_PROXY", proxy), ("NO_PROXY", ""), ("no_proxy", "")];
    let server = Started::new(&TempDir::new().unwrap(), &args, &environment).await;
    let answer = server.ofrep("flag", "", "").await;
    assert!(answer.contains(r#""value":true"#), "{answer}");
    assert_eq!(asked.lock().unwrap()[0].1["host"], "flags.invalid");
}

/// A token that was read from a file may end in a line break, which is an error at the start.
#[tokio::test]
async fn an_invalid_authorization_is_named() {
    for (field, value) in
        [("bearerToken", "hush\n"), ("authHeader", "Basic hush\r\n"), ("bearerToken", "hu\0sh")]
    {
        let source = json!([{ "uri": "http://127.0.0.1:1/x", "provider": "http", field: value }]);
        let finished =
            run(&["start", "-p=0", "-m=0", "-g=0", "-r=0", "-s", &source.to_string()]).await;
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let named = format!("--sources, number 1: `{field}` is not a valid header value");
        assert!(finished.err.contains(&named), "{finished:?}");
    }
}

/// Without the field, a URL is polled every 5 seconds.
#[tokio::test]
async fn a_url_is_fetched_at_the_interval() {
    let ((often, asked), (seldom, asked_seldom)) = (web().await, web().await);
    let sources = json!([
        { "uri": often, "provider": "http", "interval": 1 },
        { "uri": seldom, "provider": "http" },
    ]);
    let sources = format!("--sources={sources}");
    let _server = Started::new(&TempDir::new().unwrap(), &[sources], &[]).await;
    eventually("four requests", || asked.lock().unwrap().len() >= 4).await;
    // A slow machine delays both.
    let seldom = asked_seldom.lock().unwrap().len();
    assert!(seldom < 4, "{seldom} requests");
    let asked = asked.lock().unwrap();
    let took = asked[2].0 - asked[0].0;
    assert!(took.as_secs() >= 1, "{took:?}");
}

/// With the authorities of `certPath`, for a URL too.
#[tokio::test]
async fn a_url_is_read_over_tls() {
    let certificates = Certificates::new();
    let acceptor = TlsAcceptor::from(certificates.server_config());
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let uri = format!("https://localhost:{}/flags.json", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap().0;
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let answer =
                service_fn(async |_| Ok::<_, Infallible>(Response::new(one_flag().to_string())));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        }
    });
    let ca = certificates.ca();
    let source = json!({ "uri": uri, "provider": "http", "certPath": text(&ca) });
    let answer = following(source).await.ofrep("flag", "", "").await;
    assert!(answer.contains(r#""value":true"#), "{answer}");
}
