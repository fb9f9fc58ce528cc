//! Flag definitions from URLs: names, compressed bodies, headers, redirections.

use std::{
    convert::Infallible,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use flagstaff::{
    server::Server,
    source::{FlagSource, HttpSource},
};
use flate2::{Compression, write::GzEncoder};
use http::{Request, Response, response::Builder};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    client::{get, post, sync, sync_v1::FetchAllFlagsRequest},
    support::{
        certs::Certificates,
        wait::{bounded, eventually},
    },
};

const ONE: &str = r#"{"flags": {"f": {"variants": {"v": "one"}, "defaultVariant": "v"}}}"#;
const OFTEN: Duration = Duration::from_millis(10);

type Asked = Arc<Mutex<Vec<Request<()>>>>;

/// A web server with this response; its origin, and the requests that it received.
async fn web(
    answer: impl Fn(&Request<()>, Builder) -> http::Result<Response<Bytes>> + Clone + Send + 'static,
) -> (String, Asked) {
    let (port, asked) = web_with(None, answer).await;
    (format!("http://127.0.0.1:{port}"), asked)
}

/// The same, with or without TLS; its port.
async fn web_with(
    tls: Option<TlsAcceptor>,
    answer: impl Fn(&Request<()>, Builder) -> http::Result<Response<Bytes>> + Clone + Send + 'static,
) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let log = asked.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (answer, log) = (answer.clone(), log.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let request = request.map(drop);
                let response = answer(&request, Response::builder()).unwrap();
                log.lock().unwrap().push(request);
                async { Ok::<_, Infallible>(response.map(Full::new)) }
            });
            let (http, tls) = (http1::Builder::new(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => http.serve_connection(TokioIo::new(stream), service).await,
                    Some(tls) => {
                        // A client that does not trust the certificate disconnects.
                        let Ok(stream) = tls.accept(stream).await else { return Ok(()) };
                        http.serve_connection(TokioIo::new(stream), service).await
                    }
                }
            });
        }
    });
    (port, asked)
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap().into()
}

/// What the source returns: a definition, or an error with all of its causes.
async fn fetched(source: &mut HttpSource) -> Result<String, String> {
    match bounded("a definition", source.next()).await {
        Ok(definition) => Ok(definition.text),
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            Err(text)
        }
    }
}

async fn fetch(url: &str) -> Result<String, String> {
    fetched(&mut HttpSource::new(url, OFTEN).unwrap()).await
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    for coding in ["gzip", "x-gzip", "GZIP", "identity, gzip"] {
        let (origin, asked) = web(move |request, response| {
            let response = response.header("content-encoding", coding).header("etag", "\"1\"");
            match request.headers().get("if-none-match") {
                Some(_) => response.status(304).body(Bytes::new()),
                None => response.body(gzip(ONE.as_bytes())),
            }
        })
        .await;
        let mut source = HttpSource::new(&origin, OFTEN).unwrap();
        assert_eq!(fetched(&mut source).await.as_deref(), Ok(ONE), "{coding}");
        // A definition that has not changed is not sent again.
        let next = tokio::spawn(async move { source.next().await });
        eventually("two more requests", || asked.lock().unwrap().len() > 2).await;
        assert!(!next.is_finished());
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0].headers()["accept-encoding"], "gzip");
        assert_eq!(asked[2].headers()["if-none-match"], "\"1\"");
    }
    // Of several members, and a body that is not compressed in fact.
    for (coding, body) in [
        ("gzip", [gzip(&ONE.as_bytes()[..9]), gzip(&ONE.as_bytes()[9..])].concat()),
        ("identity", ONE.into()),
        ("", ONE.into()),
    ] {
        let body = Bytes::from(body);
        let (origin, _) =
            web(move |_, response| response.header("content-encoding", coding).body(body.clone()))
                .await;
        assert_eq!(fetch(&origin).await.as_deref(), Ok(ONE), "{coding}");
    }
}

#[tokio::test]
async fn unsupported_encodings_are_named() {
    let long = "x".repeat(5000);
    for (coding, named) in [
        ("br", "`br`"),
        ("gzip, br", "`gzip, br`"),
        ("gzip, gzip", "`gzip, gzip`"),
        (&long, "xxx…`"),
    ] {
        let coding = coding.to_owned();
        let (origin, _) =
            web(move |_, response| response.header("content-encoding", &coding).body(ONE.into()))
                .await;
        let error = fetch(&origin).await.unwrap_err();
        assert!(error.contains(named) && error.contains(&origin), "{error}");
        assert!(error.len() < 500, "{error}");
    }
}

/// docs/server.md, "Limits": the 64 MiB of a definition are counted after decompression.
#[tokio::test]
async fn a_body_that_is_large_once_it_is_decompressed() {
    let mib = gzip(&vec![b' '; 1 << 20]);
    for (count, fits) in [(64, true), (65, false)] {
        let body = Bytes::from(mib.repeat(count));
        assert!(body.len() < 1 << 20);
        let (origin, _) =
            web(move |_, response| response.header("content-encoding", "gzip").body(body.clone()))
                .await;
        match fetch(&origin).await {
            Ok(text) => assert!(fits && text.len() == 64 << 20),
            Err(error) => {
                let expected = format!("the response from {origin} is larger than 64 MiB");
                assert!(!fits && error.starts_with(&expected), "{error}");
            }
        }
    }
}

/// The same bound for a body that is not compressed.
#[tokio::test]
async fn a_body_that_is_large() {
    for (extra, fits) in [(0, true), (1, false)] {
        let body = Bytes::from(vec![b' '; (64 << 20) + extra]);
        let (origin, _) = web(move |_, response| response.body(body.clone())).await;
        match fetch(&origin).await {
            Ok(text) => assert!(fits && text.len() == 64 << 20),
            Err(error) => {
                let expected = format!("the response from {origin} is larger than 64 MiB");
                assert!(!fits && error.starts_with(&expected), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_contradicts_its_encoding() {
    let whole = gzip(ONE.as_bytes());
    for body in [Bytes::new(), ONE.into(), whole.slice(..whole.len() - 9)] {
        let (origin, _) =
            web(move |_, response| response.header("content-encoding", "gzip").body(body.clone()))
                .await;
        let error = fetch(&origin).await.unwrap_err();
        assert!(error.contains("not valid gzip"), "{error}");
    }
}

/// Another origin receives only headers that reveal nothing about the user.
#[tokio::test]
async fn secrets_stay_with_the_origin() {
    let (other, others) = web(|_, response| response.body(ONE.into())).await;
    let to = format!("{other}/elsewhere");
    let (origin, ours) = web(move |request, response| {
        let host = request.headers()["host"].to_str().unwrap();
        match request.uri().path() {
            "/flags.json" => response.status(302).header("location", "/moved").body(Bytes::new()),
            // Without its host, the URL has no user either.
            "/moved" => {
                let to = format!("http://{host}/again");
                response.status(302).header("location", to).body(Bytes::new())
            }
            _ => response.status(307).header("location", &to).body(Bytes::new()),
        }
    })
    .await;
    let url = origin.replace("http://", "http://zoe:hush@") + "/flags.json?sig=hush";
    let source = HttpSource::new(&url, OFTEN).unwrap().header("X-Key", "hush").unwrap();
    let debug = format!("{source:?}");
    assert!(!debug.contains("hush"), "{debug}");
    assert_eq!(fetched(&mut { source }).await.as_deref(), Ok(ONE));
    {
        let (ours, others) = (ours.lock().unwrap(), others.lock().unwrap());
        assert_eq!((ours.len(), others.len()), (3, 1));
        for request in ours.iter() {
            assert_eq!(request.headers()["x-key"], "hush");
            assert_eq!(request.headers()["authorization"], "Basic em9lOmh1c2g=");
        }
        let seen = format!("{:?}", others[0]);
        assert!(!seen.contains("hush") && !seen.contains("authorization"), "{seen}");
        assert_eq!(others[0].uri(), "/elsewhere");
    }
    let source = HttpSource::new(&origin, OFTEN).unwrap().authorization("Bearer hush");
    fetched(&mut { source }).await.unwrap();
    assert_eq!(ours.lock().unwrap().last().unwrap().headers()["authorization"], "Bearer hush");
    assert!(!others.lock().unwrap()[1].headers().contains_key("authorization"));
}

/// Whatever goes wrong, an error holds the beginning of a long URL.
#[tokio::test]
async fn a_long_url_is_cut() {
    let path = "x".repeat(3000);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (failing, _) = web(|_, response| response.status(403).body(Bytes::new())).await;
    let (text, _) = web(|_, response| response.body(Bytes::from_static(b"\xff"))).await;
    let (coding, _) =
        web(|_, response| response.header("content-encoding", "br").body(Bytes::new())).await;
    let (gzip, _) =
        web(|_, response| response.header("content-encoding", "gzip").body(Bytes::new())).await;
    let (circle, _) =
        web(|_, response| response.status(302).header("location", "/").body(Bytes::new())).await;
    let mut errors = Vec::new();
    for origin in [format!("http://{closed}"), failing, text, coding, gzip, circle] {
        errors.push(fetch(&format!("{origin}/{path}")).await.unwrap_err());
    }
    for (url, interval) in [
        (format!("ftp://host/{path}"), OFTEN),
        (format!("http://{path}:99999"), OFTEN),
        (format!("http://host/{path}"), Duration::ZERO),
    ] {
        errors.push(HttpSource::new(&url, interval).unwrap_err().to_string());
    }
    let source = HttpSource::new(&format!("http://host/{path}"), OFTEN).unwrap();
    errors.push(source.header("no name", "x").unwrap_err().to_string());
    for error in errors {
        assert!(error.contains("xxx…") && error.len() < 600, "{error}");
    }
}

#[tokio::test]
async fn headers_are_checked() {
    for (name, value) in [("no name", "hush"), ("x-key", "hush\n")] {
        let source = HttpSource::new("http://host?hush", OFTEN).unwrap();
        let error = source.header(name, value).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn redirections_are_limited() {
    let (origin, asked) = web(|_, response| {
        response.status(301).header("location", "/x?sig=hush").body(Bytes::new())
    })
    .await;
    let error = fetch(&origin).await.unwrap_err();
    assert_eq!(error, format!("{origin} redirects more than 10 times"));
    assert_eq!(asked.lock().unwrap().len(), 11);
    // A redirection without a location is a status like any other.
    let (origin, _) = web(|_, response| response.status(302).body(Bytes::new())).await;
    let error = fetch(&origin).await.unwrap_err();
    assert!(error.contains("302"), "{error}");
}

/// Flags decide what a program does: a request that began over TLS stays on TLS.
#[tokio::test]
async fn redirections_never_leave_tls() {
    let certificates = Certificates::new();
    let (plain, asked) = web(|_, response| response.body(ONE.into())).await;
    let tls = TlsAcceptor::from(certificates.server_config());
    let (port, _) = web_with(Some(tls), move |_, response| {
        response.status(302).header("location", &plain).body(Bytes::new())
    })
    .await;
    let url = format!("https://localhost:{port}/flags.json");
    let source = HttpSource::new(&url, OFTEN).unwrap().authorities(certificates.ca()).unwrap();
    let error = fetched(&mut { source }).await.unwrap_err();
    assert_eq!(error, format!("{url} redirects from https to http"));
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn authorities_are_renewed() {
    let (first, second) = (Certificates::new(), Certificates::new());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(first.ca(), file.path()).unwrap();
    let tls = TlsAcceptor::from(second.server_config());
    let (port, _) = web_with(Some(tls), |_, response| response.body(ONE.into())).await;
    let url = format!("https://localhost:{port}/flags.json");
    let mut source = HttpSource::new(&url, OFTEN).unwrap().authorities(file.path()).unwrap();
    for content in ["", "-----BEGIN CERTIFICATE-----"] {
        fetched(&mut source).await.unwrap_err();
        std::fs::write(file.path(), content).unwrap();
    }
    std::fs::copy(second.ca(), file.path()).unwrap();
    // The file is read after a failure.
    fetched(&mut source).await.unwrap_err();
    assert_eq!(fetched(&mut source).await.as_deref(), Ok(ONE));
}

/// Errors quote the URL in many cases: when it is unreachable, responds with another status, or is
/// cut.
#[tokio::test]
async fn errors_contain_no_secret() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (failing, _) = web(|_, response| response.status(403).body("hush".into())).await;
    let (text, _) = web(|_, response| response.body(Bytes::from_static(b"\xff"))).await;
    let (away, _) = web(|_, response| {
        response.status(302).header("location", "ftp://zoe:hush@host/?hush").body(Bytes::new())
    })
    .await;
    for origin in [format!("http://{closed}"), failing, text, away] {
        let url = origin.replace("http://", "http://zoe:hush@") + "/flags.json?sig=hush#hush";
        let error = fetch(&url).await.unwrap_err();
        assert!(error.contains(&format!("{origin}/flags.json")), "{error}");
        assert!(!error.contains("hush") && !error.contains("zoe"), "{error}");
    }
}

/// docs/server.md, "Sources": the second one gets `#2` appended, and selectors match these names.
#[tokio::test]
async fn sources_are_called_by_their_public_names() {
    let (origin, _) = web(|request, response| {
        let value = request.uri().query().unwrap_or_default().split('-').next_back();
        let flag = json!({"variants": {"v": value}, "defaultVariant": "v"});
        let flags = json!({"flags": {format!("only-{}", value.unwrap()): flag}});
        response.body(flags.to_string().into())
    })
    .await;
    let name = format!("{origin}/flags.json");
    let mut builder = Server::builder();
    for number in ["one", "two"] {
        let url = origin.replace("http://", "http://zoe:hush@");
        let url = format!("{url}/flags.json?sig=hush-{number}");
        builder = builder.source(HttpSource::new(&url, OFTEN).unwrap());
    }
    let debug = format!("{builder:?}");
    assert!(debug.contains(&name) && !debug.contains("hush"), "{debug}");
    let server = builder.ephemeral().bind().await.unwrap();
    bounded("the flags", server.ready()).await;

    let second = format!("{name}#2");
    for (selector, value, source) in [
        (format!("source={name}"), "one", &name),
        (name.clone(), "one", &name),
        (format!("source={second}"), "two", &second),
    ] {
        let headers = [("flagd-selector", &*selector)];
        let path = format!("/ofrep/v1/evaluate/flags/only-{value}");
        let answer = post(server.ofrep_addr(), &path, &headers, "").await.json();
        assert_eq!(answer["value"], value, "{selector}: {answer}");
        assert_eq!(answer["metadata"]["source"], **source);
    }
    let metrics = get(server.management_addr(), "/metrics").await.text().to_owned();
    for (source, index) in [(&name, 0), (&second, 1)] {
        let line = format!(r#"flagstaff_source_up{{source="{source}",index="{index}"}} 1"#);
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    let mut client = sync(&server).await;
    let all = client.fetch_all_flags(FetchAllFlagsRequest::default()).await.unwrap().into_inner();
    let flags: Value = serde_json::from_str(&all.flag_configuration).unwrap();
    assert_eq!(flags["flags"]["only-one"]["source"], *name);
    assert_eq!(flags["flags"]["only-two"]["source"], *second);
    for text in [metrics, all.flag_configuration, format!("{server:?}")] {
        assert!(!text.contains("hush-") && !text.contains("zoe"), "{text}");
    }
}
