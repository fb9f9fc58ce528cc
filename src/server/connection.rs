//! The service of one connection: which port it is, and what is bounded or counted for each client.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::sync::Semaphore;

use super::{
    body::{Received, Reply},
    core::Core,
    evaluation, management, ofrep, sync,
};

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Evaluation,
    Sync,
    Ofrep,
    Management,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Sync => "sync",
            Self::Ofrep => "ofrep",
            Self::Management => "management",
        }
    }

    /// Whether the answer at this path is as long as there are many flags.
    fn answers_all(self, path: &str) -> bool {
        match self {
            Self::Evaluation => path.ends_with("/ResolveAll"),
            Self::Sync => path.ends_with("/FetchAllFlags"),
            Self::Ofrep => path.trim_end_matches('/') == ofrep::PATH,
            Self::Management => path == "/metrics",
        }
    }
}

/// How many answers that hold all flags a connection may have under way at once: a client that
/// takes none of them keeps no more in memory.
const MOST_LARGE: usize = 8;

/// A connection, counted as long as it is open.
struct Connection {
    service: Service,
    core: Arc<Core>,
    large: Arc<Semaphore>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.core.metrics.connections.leave();
    }
}

/// The tower service of one connection.
pub(crate) fn serve(
    service: Service,
    core: Arc<Core>,
) -> impl tower_service::Service<
    Request<Received>,
    Response = Response<Reply>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    core.metrics.connections.enter();
    let large = Arc::new(Semaphore::new(MOST_LARGE));
    let connection = Arc::new(Connection { service, core, large });
    ServiceFn(move |request| answer(connection.clone(), request))
}

async fn answer(
    connection: Arc<Connection>,
    request: Request<Received>,
) -> Result<Response<Reply>, Infallible> {
    let Connection { service, core, large } = &*connection;
    if !service.answers_all(request.uri().path()) {
        return Ok(route(*service, core.clone(), request).await);
    }
    // The semaphore is never closed.
    let room = large.clone().acquire_owned().await.ok();
    Ok(route(*service, core.clone(), request).await.map(|reply| reply.holding(room)))
}

async fn route(service: Service, core: Arc<Core>, request: Request<Received>) -> Response<Reply> {
    let (parts, mut body) = request.into_parts();
    let request = Request::from_parts(parts, &mut body);
    match service {
        Service::Evaluation => evaluation::router::serve(core, request).await,
        Service::Sync => sync::serve(core, request).await,
        Service::Ofrep => ofrep::serve(core, request).await,
        Service::Management => management::serve(core, request).await,
    }
}

/// A function as a tower service, whose futures need no box.
#[derive(Clone)]
struct ServiceFn<F>(F);

impl<F, R> tower_service::Service<Request<Received>> for ServiceFn<F>
where
    F: FnMut(Request<Received>) -> R,
    R: Future<Output = Result<Response<Reply>, Infallible>>,
{
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Received>) -> R {
        self.0(request)
    }
}
