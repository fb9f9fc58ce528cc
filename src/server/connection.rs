//! The service of one connection: from the port to the module that serves it,
//! and what is limited or counted for each connection.
//!
//! hyper calls the service once for each request; all requests of a connection
//! share one [`Connection`], which is dropped when the last of them has ended and
//! the connection is closed.
//!
//! # Responses with all flags
//!
//! The size of most responses does not depend on the number of flags. Those that
//! hold all flags can be megabytes, and an HTTP/2 client may request hundreds of
//! them and read none. So a connection has [`MOST_LARGE`] permits, and such a
//! response holds one until its bytes are sent or dropped. Further requests wait
//! for a permit; nothing is rejected.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::sync::Semaphore;

use super::{
    body::{Received, ResponseBody},
    core::Core,
    evaluation, management, ofrep, sync,
};

/// What a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Evaluation,
    Sync,
    Ofrep,
    Management,
}

impl Service {
    /// The name in errors and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Sync => "sync",
            Self::Ofrep => "ofrep",
            Self::Management => "management",
        }
    }

    /// Whether the response at this path grows with the number of flags.
    fn answers_all(self, path: &str) -> bool {
        match self {
            Self::Evaluation => path.ends_with("/ResolveAll"),
            Self::Sync => path.ends_with("/FetchAllFlags"),
            Self::Ofrep => path.trim_end_matches('/') == ofrep::PATH,
            Self::Management => path == "/metrics",
        }
    }
}

/// How many responses with all flags a connection may have in progress at once. A
/// client that reads none of them keeps no more in memory.
const MOST_LARGE: usize = 8;

/// A connection, counted as long as it is open.
struct Connection {
    service: Service,
    core: Arc<Core>,
    /// The permits for responses with all flags.
    large: Arc<Semaphore>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.core.metrics.connections.leave();
    }
}

/// Makes the tower service of one connection, and counts the connection.
///
/// The service is always ready, and its clones are the same connection.
pub(crate) fn serve(
    service: Service,
    core: Arc<Core>,
) -> impl tower_service::Service<
    Request<Received>,
    Response = Response<ResponseBody>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    core.metrics.connections.enter();
    let large = Arc::new(Semaphore::new(MOST_LARGE));
    let connection = Arc::new(Connection { service, core, large });
    ServiceFn(move |request| handle(connection.clone(), request))
}

/// Responds to a request, once there is a permit if it needs one.
async fn handle(
    connection: Arc<Connection>,
    request: Request<Received>,
) -> Result<Response<ResponseBody>, Infallible> {
    let Connection { service, core, large } = &*connection;
    if !service.answers_all(request.uri().path()) {
        return Ok(route(*service, core.clone(), request).await);
    }
    // The semaphore is never closed.
    let room = large.clone().acquire_owned().await.ok();
    Ok(route(*service, core.clone(), request).await.map(|body| body.holding(room)))
}

/// Passes a request to the module of its port. The body is lent to the handlers
/// and dropped once the response is there.
async fn route(
    service: Service,
    core: Arc<Core>,
    request: Request<Received>,
) -> Response<ResponseBody> {
    let (parts, mut body) = request.into_parts();
    let request = Request::from_parts(parts, &mut body);
    match service {
        Service::Evaluation => evaluation::router::serve(core, request).await,
        Service::Sync => sync::serve(core, request).await,
        Service::Ofrep => ofrep::serve(core, request).await,
        Service::Management => management::serve(core, request).await,
    }
}

/// A function as a tower service. Unlike a boxed service, it needs no allocation
/// for the future of each request.
#[derive(Clone)]
struct ServiceFn<F>(F);

impl<F, R> tower_service::Service<Request<Received>> for ServiceFn<F>
where
    F: FnMut(Request<Received>) -> R,
    R: Future<Output = Result<Response<ResponseBody>, Infallible>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Received>) -> R {
        self.0(request)
    }
}
