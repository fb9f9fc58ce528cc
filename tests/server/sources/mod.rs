//! Sources: files, URLs, and errors that leave the flags unchanged.

mod url;
mod warnings;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use flagstaff::{
    server::Server,
    source::{Definition, FileSource, FlagSource, HttpSource},
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;

use crate::{
    client::{event, events, post, v1 as client_v1},
    support::{
        certs::Certificates,
        sent::Sent,
        wait::{becomes_true, bounded, eventually},
    },
};

const ONE: &str = r#"{"flags": {"f": {"variants": {"v": "one"}, "defaultVariant": "v"}}}"#;
const TWO: &str = r#"{"flags": {"f": {"variants": {"v": "two"}, "defaultVariant": "v"}}}"#;
const YAML: &str = "flags:\n  f:\n    variants: {v: yaml}\n    defaultVariant: v\n";
const OFTEN: Duration = Duration::from_millis(10);

async fn value(server: &Server) -> String {
    let answer = post(server.ofrep_addr(), "/ofrep/v1/evaluate/flags/f", &[], "").await;
    answer.json()["value"].as_str().unwrap_or_default().to_owned()
}

async fn becomes(server: &Server, expected: &str) {
    becomes_true(expected, async || value(server).await == expected).await;
}

#[tokio::test]
async fn a_file_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flags.json");
    std::fs::write(&path, ONE).unwrap();
    let source = FileSource::new(&path, OFTEN);
    let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
    bounded("the flags", server.ready()).await;
    assert_eq!(value(&server).await, "one");
    let mut stream = events(&mut client_v1(&server).await, "").await;
    std::fs::write(&path, TWO).unwrap();
    let expected = json!({"flags": {"f": {"type": "update"}}});
    assert_eq!(event(&mut stream).await, ("configuration_change".to_owned(), expected));
    assert_eq!(value(&server).await, "two");
}

/// docs/server.md, "Sources": an invalid definition is rejected as a whole.
#[tokio::test]
async fn an_invalid_definition_leaves_the_current_one() {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    sender.send(Definition::json("{")).unwrap();
    sender.send(Definition::json(ONE)).unwrap();
    bounded("the flags", server.ready()).await;
    sender.send(Definition::json(r#"{"flags": {"f": {"variants": 1}}}"#)).unwrap();
    sender.send(Definition::yaml(YAML.replace("f:", "g:"))).unwrap();
    sender.send(Definition::yaml(YAML)).unwrap();
    becomes(&server, "yaml").await;
}

type Answer = (StatusCode, &'static str, &'static str, &'static str);

/// A web server: it returns what the test sets, and records the headers of each request.
#[derive(Clone)]
struct Web {
    port: u16,
    /// Status, content type, tag, body.
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Web {
    async fn start(answer: Answer) -> Self {
        Self::start_with(answer, None).await
    }

    async fn start_with(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let web = Self { port, answer: Arc::new(Mutex::new(answer)), asked: Arc::default() };
        let shared = web.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let web = shared.clone();
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let web = web.clone();
                    async move { web.respond(request.headers()) }
                });
                let (http, tls) = (http1::Builder::new(), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        return http.serve_connection(TokioIo::new(stream), service).await;
                    };
                    // A client that does not trust the certificate disconnects.
                    let Ok(stream) = tls.accept(stream).await else { return Ok(()) };
                    http.serve_connection(TokioIo::new(stream), service).await
                });
            }
        });
        web
    }

    fn respond(&self, headers: &HeaderMap) -> http::Result<Response<Full<Bytes>>> {
        self.asked.lock().unwrap().push(headers.clone());
        let (status, kind, tag, body) = *self.answer.lock().unwrap();
        let known =
            !tag.is_empty() && headers.get("if-none-match").is_some_and(|known| known == tag);
        let (status, body) = if known { (StatusCode::NOT_MODIFIED, "") } else { (status, body) };
        let mut response = Response::builder().status(status).header("content-type", kind);
        if !tag.is_empty() {
            response = response.header("etag", tag);
        }
        response.body(Full::from(body))
    }

    fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

const OK: StatusCode = StatusCode::OK;

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    const MARKED: &str =
        "\u{feff}{\"flags\": {\"f\": {\"variants\": {\"v\": \"one\"}, \"defaultVariant\": \"v\"}}}";
    let web = Web::start((OK, "application/json; charset=utf-8", "", MARKED)).await;
    let source = HttpSource::new(&format!("http://127.0.0.1:{}/flags.json", web.port), OFTEN);
    let server = Server::builder().source(source.unwrap()).ephemeral().bind().await.unwrap();
    bounded("the flags", server.ready()).await;
    assert_eq!(value(&server).await, "one");
}

/// After an error the flags may have been dropped: they are provided again, with the same tag or
/// not.
#[tokio::test]
async fn a_url_that_failed_provides_its_definition_again() {
    let answer = (OK, "application/json", "\"1\"", ONE);
    let web = Web::start(answer).await;
    let url = format!("http://127.0.0.1:{}/flags", web.port);
    let mut source = HttpSource::new(&url, OFTEN).unwrap();
    for _ in 0..2 {
        assert_eq!(bounded("the definition", source.next()).await.unwrap().text, ONE);
        web.says((StatusCode::INTERNAL_SERVER_ERROR, "", "", ""));
        bounded("the failure", source.next()).await.unwrap_err();
        web.says(answer);
    }
}

/// docs/server.md, "Sources": with the `ETag` of the last response.
#[tokio::test]
async fn a_url_is_polled() {
    let web = Web::start((OK, "application/json", "\"1\"", ONE)).await;
    let url = format!("http://127.0.0.1:{}/flags", web.port);
    let source = HttpSource::new(&url, OFTEN).unwrap().authorization("Bearer hush");
    assert!(!format!("{source:?}").contains("hush"));
    let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
    bounded("the flags", server.ready()).await;
    assert_eq!(value(&server).await, "one");
    let seen = web.asked();
    eventually("three more requests", || web.asked() > seen + 3).await;
    {
        let asked = web.asked.lock().unwrap();
        assert!(!asked[0].contains_key("if-none-match"));
        assert_eq!(asked.last().unwrap()["if-none-match"], "\"1\"");
        assert_eq!(asked[0]["authorization"], "Bearer hush");
    }
    web.says((OK, "application/json", "\"2\"", TWO));
    becomes(&server, "two").await;
    web.says((OK, "application/yaml; charset=utf-8", "", YAML));
    becomes(&server, "yaml").await;
    // An invalid definition is not loaded.
    web.says((OK, "application/json", "", "{"));
    let seen = web.asked();
    eventually("two more requests", || web.asked() > seen + 2).await;
    assert_eq!(value(&server).await, "yaml");
    web.says((OK, "application/json", "", ONE));
    becomes(&server, "one").await;
}

/// An error leaves the flags unchanged, and the request is retried.
#[tokio::test]
async fn a_url_that_fails_for_a_while() {
    let web = Web::start((StatusCode::SERVICE_UNAVAILABLE, "text/plain", "", "no")).await;
    let url = format!("http://127.0.0.1:{}/flags.yaml", web.port);
    let source = HttpSource::new(&url, OFTEN).unwrap();
    let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
    eventually("a request", || web.asked() > 0).await;
    assert!(!server.is_ready());
    web.says((OK, "application/json", "", YAML));
    bounded("the flags", server.ready()).await;
    assert_eq!(value(&server).await, "yaml", "the ending of the path counts more");
    web.says((StatusCode::NOT_FOUND, "text/plain", "", "no"));
    let seen = web.asked();
    eventually("another request", || web.asked() > seen).await;
    assert_eq!((value(&server).await, server.is_ready()), ("yaml".to_owned(), true));
}

/// Over TLS, and only with a trusted certificate.
#[tokio::test]
async fn an_encrypted_url() {
    let certificates = Certificates::new();
    let tls = TlsAcceptor::from(certificates.server_config());
    let web = Web::start_with((OK, "application/json", "", ONE), Some(tls)).await;
    let url = format!("https://localhost:{}/flags.json", web.port);
    let trusted = HttpSource::new(&url, OFTEN).unwrap().authorities(certificates.ca()).unwrap();
    let server = Server::builder().source(trusted).ephemeral().bind().await.unwrap();
    bounded("the flags", server.ready()).await;
    assert_eq!(value(&server).await, "one");

    let mut other = HttpSource::new(&url, OFTEN).unwrap();
    let error = bounded("an error", other.next()).await.unwrap_err();
    assert!(error.to_string().contains(&url), "{error}");
    HttpSource::new(&url, OFTEN).unwrap().authorities(certificates.server_key()).unwrap_err();
}
