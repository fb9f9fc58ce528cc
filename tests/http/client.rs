//! The client against servers of this crate: redirects, limits, compression, proxies and TLS.

use std::{
    fs,
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request as Incoming, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response as Answer},
    routing::{get, post},
};
use flagstaff::http::{
    Certificates, Client, ClientBuilder, ClientError, Server,
    tls::{ClientTls, Pem, ServerTls},
};
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{CONTENT_ENCODING, LOCATION},
};

use crate::{certs::Certificates as Pki, peer::serve, wait::bounded};

/// What was requested: the target and the headers.
type Log = Arc<Mutex<Vec<(String, HeaderMap)>>>;

async fn logged(State(log): State<Log>, request: Incoming, next: Next) -> Answer {
    log.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
    next.run(request).await
}

/// A web server; its origin, and the requests that it received.
async fn web(router: Router) -> (Server, String, Log) {
    let log = Log::default();
    let server = serve(Server::builder(), router.layer(from_fn_with_state(log.clone(), logged)));
    let server = server.await;
    let origin = format!("http://{}", server.addresses()[0]);
    (server, origin, log)
}

fn to(location: impl Into<String>) -> impl IntoResponse {
    (StatusCode::FOUND, [(LOCATION, location.into())])
}

/// A client without the proxies of the environment.
fn builder() -> ClientBuilder {
    Client::builder().without_proxy()
}

fn request(url: &str) -> Request<Vec<u8>> {
    Request::get(url).body(Vec::new()).unwrap()
}

/// The status and the body.
async fn send(
    client: &Client,
    request: Request<Vec<u8>>,
) -> Result<(StatusCode, String), ClientError> {
    let response = bounded("a response", client.send(request)).await?;
    let status = response.status();
    let bytes = bounded("a body", response.into_body().bytes()).await?;
    Ok((status, String::from_utf8(bytes.to_vec()).unwrap()))
}

async fn fetch(client: ClientBuilder, url: &str) -> Result<(StatusCode, String), ClientError> {
    send(&client.build().unwrap(), request(url)).await
}

/// The error and its causes.
fn text(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn any_method_and_status() {
    let router =
        Router::new().route("/echo", post(async |body: String| (StatusCode::CREATED, body)));
    let (_server, origin, log) = web(router).await;
    let client = builder().build().unwrap();
    let request = Request::post(format!("{origin}/echo?a=b")).header("x-key", "value");
    let answer = send(&client, request.body(b"text".to_vec()).unwrap()).await.unwrap();
    assert_eq!(answer, (StatusCode::CREATED, "text".to_owned()));
    let (target, headers) = log.lock().unwrap()[0].clone();
    assert_eq!((&*target, headers["x-key"].to_str().unwrap()), ("/echo?a=b", "value"));
    let absent = fetch(builder(), &format!("{origin}/absent")).await.unwrap();
    assert_eq!(absent.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn redirects_carry_no_secret_to_another_origin() {
    let there = Router::new().route("/there", get(async || "there"));
    let (_other, elsewhere, others) = web(there).await;
    let router = Router::new()
        .route("/start", get(async || to("/next")))
        .route("/next", get(async move || to(format!("{elsewhere}/there"))))
        .route("/post", post(async || to("/next")));
    let (_server, origin, ours) = web(router).await;
    let client = builder().build().unwrap();
    let mut asked = request(&format!("{}/start", origin.replace("http://", "http://zoe:hush@")));
    let mut secret = HeaderValue::from_static("hush");
    secret.set_sensitive(true);
    asked.headers_mut().insert("x-secret", secret);
    asked.headers_mut().insert("x-open", HeaderValue::from_static("open"));
    assert_eq!(send(&client, asked).await.unwrap(), (StatusCode::OK, "there".to_owned()));
    {
        let (ours, others) = (ours.lock().unwrap(), others.lock().unwrap());
        assert_eq!((ours.len(), others.len()), (2, 1));
        for (_, headers) in &*ours {
            assert_eq!(headers["authorization"], "Basic em9lOmh1c2g=");
            assert_eq!(headers["x-secret"], "hush");
        }
        let seen = format!("{:?}", others[0]);
        assert!(!seen.contains("hush") && !seen.contains("authorization"), "{seen}");
        assert_eq!(others[0].1["x-open"], "open");
    }
    // The caller decides whether to follow the redirect of a request with a body.
    let answer = Request::post(format!("{origin}/post")).body(Vec::new()).unwrap();
    assert_eq!(send(&client, answer).await.unwrap().0, StatusCode::FOUND);
}

#[tokio::test]
async fn redirects_are_limited() {
    let (_server, origin, log) = web(Router::new().route("/", get(async || to("/?hush")))).await;
    let error = fetch(builder().max_redirects(3), &origin).await.unwrap_err();
    assert!(matches!(error, ClientError::Redirects(_, 3)), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
    assert_eq!(log.lock().unwrap().len(), 4);
}

/// The limit of a body applies after decompression.
#[tokio::test]
async fn bodies_are_bounded() {
    let compressed = gzip(&[b' '; 2000]);
    assert!(compressed.len() < 100);
    let router = Router::new()
        .route(
            "/plain/{length}",
            get(async |uri: http::Uri| {
                let length = uri.path().rsplit('/').next().unwrap().parse().unwrap();
                "x".repeat(length)
            }),
        )
        .route("/gzip", get(async move || ([(CONTENT_ENCODING, "gzip")], compressed)))
        .route("/cut", get(async || ([(CONTENT_ENCODING, "gzip")], gzip(b"text")[..10].to_vec())))
        .route("/br", get(async || ([(CONTENT_ENCODING, "br")], "text")));
    let (_server, origin, log) = web(router).await;
    for (max, path, expected) in [
        (1000, "/plain/1000", Ok(1000)),
        (1000, "/plain/1001", Err("is larger than 1000 bytes")),
        (2000, "/gzip", Ok(2000)),
        (1999, "/gzip", Err("is larger than 1999 bytes")),
        (1000, "/cut", Err("is not valid gzip")),
        (1000, "/br", Err("has the content coding `br`")),
    ] {
        let answer = fetch(builder().max_body(max), &format!("{origin}{path}")).await;
        match (answer, expected) {
            (Ok((_, body)), Ok(length)) => assert_eq!(body.len(), length),
            (Err(error), Err(expected)) => {
                let text = error.to_string();
                assert!(text.contains(expected) && text.contains(&origin), "{text}");
            }
            (answer, _) => panic!("{path}: {answer:?}"),
        }
    }
    assert_eq!(log.lock().unwrap()[0].1["accept-encoding"], "gzip");
}

#[tokio::test]
async fn a_response_that_does_not_come() {
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let (_server, origin, _) = web(router).await;
    let timeout = Duration::from_millis(50);
    let error = fetch(builder().timeout(timeout), &origin).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut(_, after) if after == timeout), "{error}");
}

/// The proxy of this test responds to every request itself.
/// An event stream outlives the timeout of its request, which holds for its head alone.
#[tokio::test]
async fn a_body_without_an_end_is_read_in_parts() {
    let (parts, body) = tokio::sync::mpsc::channel::<Result<&str, std::io::Error>>(1);
    let body = Arc::new(Mutex::new(Some(tokio_stream::wrappers::ReceiverStream::new(body))));
    let body = move || {
        let stream = body.lock().unwrap().take().unwrap();
        async { axum::body::Body::from_stream(stream) }
    };
    let compressed = get(async || ([(CONTENT_ENCODING, "gzip")], gzip(b"text")));
    let router = Router::new().route("/events", get(body)).route("/gzip", compressed);
    let (_server, origin, _) = web(router).await;
    let client = builder().timeout(Duration::from_millis(300)).max_body(10).build().unwrap();
    let response = client.send(request(&format!("{origin}/events"))).await.unwrap();
    let mut body = response.into_body();
    let idle = Duration::from_secs(20);
    for part in ["first", "longer than the limit"] {
        parts.send(Ok(part)).await.unwrap();
        assert_eq!(body.chunk(idle).await.unwrap().unwrap(), part);
    }
    let error = body.chunk(Duration::from_millis(400)).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut(..)), "{error}");
    parts.send(Ok("last")).await.unwrap();
    drop(parts);
    assert_eq!(body.chunk(idle).await.unwrap().unwrap(), "last");
    assert_eq!(body.chunk(idle).await.unwrap(), None);

    let response = client.send(request(&format!("{origin}/gzip"))).await.unwrap();
    let error = response.into_body().chunk(idle).await.unwrap_err();
    assert!(matches!(error, ClientError::Coding(..)), "{error}");
}

#[tokio::test]
async fn requests_go_through_the_proxy() {
    let (_proxy, proxy, log) = web(Router::new().fallback(async || "from the proxy")).await;
    let through = || Client::builder().proxy(proxy.replace("http://", "http://zoe:hush@"));
    let shown = format!("{:?}", through());
    assert!(!shown.contains("hush"), "{shown}");
    let answer = fetch(through(), "http://flags.invalid/flags.json").await.unwrap();
    assert_eq!(answer, (StatusCode::OK, "from the proxy".to_owned()));
    {
        let log = log.lock().unwrap();
        assert_eq!(log[0].0, "http://flags.invalid/flags.json");
        assert_eq!(log[0].1["proxy-authorization"], "Basic em9lOmh1c2g=");
    }
    let error = Client::builder().proxy("http://zoe:hush@host:99999").build().unwrap_err();
    assert!(!text(&error).contains("hush"), "{}", text(&error));
}

/// The authorities and the client's certificate come from files or from memory.
#[tokio::test]
async fn tls() {
    let (pki, other) = (Pki::new(), Pki::new());
    let tls = ServerTls::new(pki.server_cert(), pki.server_key()).client_authorities(pki.ca());
    let (_plain, plain, _) = web(Router::new()).await;
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/away", get(async move || to(plain)));
    let server = serve(Server::builder().tls(Certificates::load(tls).unwrap()), router).await;
    let url = format!("https://localhost:{}", server.addresses()[0].port());
    let memory = |path| Pem::Memory(fs::read(path).unwrap());
    let known = || ClientTls::new().authorities(pki.ca());
    for tls in [
        known().identity(pki.client_cert(), pki.client_key()),
        ClientTls::new()
            .authorities(memory(pki.ca()))
            .identity(memory(pki.client_cert()), memory(pki.client_key())),
    ] {
        let expected = (StatusCode::OK, "hello".to_owned());
        assert_eq!(fetch(builder().tls(tls.clone()), &url).await.unwrap(), expected);
        let config = tls.config().unwrap();
        assert_eq!(fetch(builder().tls_config(config), &url).await.unwrap(), expected);
        // A request that began over TLS stays on TLS.
        let error = fetch(builder().tls(tls), &format!("{url}/away")).await.unwrap_err();
        assert!(matches!(error, ClientError::Insecure(_)), "{error}");
    }
    let strangers =
        ClientTls::new().authorities(other.ca()).identity(pki.client_cert(), pki.client_key());
    for (tls, reason) in [(strangers, "invalid peer certificate"), (known(), "")] {
        let error = fetch(builder().tls(tls), &url).await.unwrap_err();
        let text = text(&error);
        assert!(text.contains(&url) && text.contains(reason), "{text}");
    }
    let pair = ClientTls::new().identity(pki.client_cert(), other.client_key());
    let error = builder().tls(pair).build().unwrap_err();
    assert!(matches!(error, ClientError::Tls(_)), "{error}");
}

/// Errors quote only the public part of a URL.
#[tokio::test]
async fn errors_contain_no_secret() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://zoe:hush@{closed}/a?hush"), "ftp://zoe:hush@host/a?hush".to_owned()]
    {
        let error = fetch(builder(), &url).await.unwrap_err();
        let text = format!("{} {error:?}", text(&error));
        assert!(text.contains("/a") && !text.contains("hush") && !text.contains("zoe"), "{text}");
    }
}
