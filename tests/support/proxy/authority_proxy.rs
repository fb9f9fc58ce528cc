//! An HTTP/2 reverse proxy that routes on the authority, as Envoy does, or hides evaluation v2.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use http::{Request, Response, StatusCode, Uri, uri::Scheme};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::sync::watch;

use crate::support::{
    background::Background,
    ports,
    servers::http2::{Connections, Listener, Server},
};

/// Forwards each request to the upstream of its authority, or responds 404; bodies and trailers are
/// streamed. Uses HTTP/2 without TLS on both sides.
#[derive(Debug)]
pub struct AuthorityProxy {
    port: u16,
    _goaway: watch::Sender<bool>,
    _background: Background,
}

type Body = Either<Incoming, Full<Bytes>>;

impl AuthorityProxy {
    /// Routes such as `("rpc.service", address of flagd)`.
    pub fn start<'a>(routes: impl IntoIterator<Item = (&'a str, SocketAddr)>) -> Self {
        let routes = routes.into_iter().map(|(authority, upstream)| (authority.into(), upstream));
        let routes: HashMap<String, SocketAddr> = routes.collect();
        Self::routing(move |uri| routes.get(uri.authority()?.as_str()).copied())
    }

    /// Hides evaluation v2 of this upstream, whatever the authority: 404, as from an old flagd.
    pub fn hiding_v2(upstream: SocketAddr) -> Self {
        Self::routing(move |uri| {
            (!uri.path().starts_with("/flagd.evaluation.v2.")).then_some(upstream)
        })
    }

    fn routing(route: impl Fn(&Uri) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        let route = Arc::new(route);
        let listener = ports::listen();
        let port = listener.local_addr().unwrap().port();
        let (goaway, going_away) = watch::channel(false);
        let server = Server {
            listener: Listener::Tcp(listener),
            tls: None,
            counts: Arc::new(watch::Sender::new(Connections::default())),
            goaway: going_away,
        };
        let background = Background::spawn("authority-proxy", || async {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
            let handler = move |request: Request<Incoming>| {
                forward(client.clone(), route(request.uri()), request)
            };
            server.run(handler).await;
        });
        Self { port, _goaway: goaway, _background: background }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: Option<SocketAddr>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let Some(upstream) = upstream else {
        return plain(StatusCode::NOT_FOUND, format!("no route to {}\n", request.uri()));
    };
    let mut uri = request.uri().clone().into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(upstream.to_string().parse().unwrap());
    *request.uri_mut() = Uri::from_parts(uri).unwrap();
    match client.request(request).await {
        Ok(response) => response.map(Either::Left),
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::from(text)));
    *response.status_mut() = status;
    response
}
