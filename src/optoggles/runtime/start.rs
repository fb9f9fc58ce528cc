//! Starts an engine: first the listeners, then the task.
//!
//! The order matters. The listeners are bound first, so that an address in use ends the
//! start before anything is written, and so that sources know the port at which
//! they are called back (`bind` may name port 0). They serve before the task runs:
//! requests wait in the channel of commands for their replies.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::{
    error::EngineError,
    factory::Factory,
    http::{self, Shared},
    parts::Parts,
    running::{Reload, Running, Servers},
};
use crate::{
    http::{Listen, Server},
    optoggles::{callbacks::Tokens, config::Config, record::Record},
};

/// Starts an engine of a configuration. With a path, the file is watched and read again.
pub(super) async fn start_config(
    config: Config,
    path: Option<PathBuf>,
) -> Result<Running, EngineError> {
    let tokens = match &config.callback_secret {
        Some(secret) => Tokens::derived(&secret.read()?),
        None => Tokens::random()?,
    };
    let record = config.state.as_ref().map(|path| Record::open(path, &config.instance));
    let record = record.transpose()?;
    if let Listen::Tcp(address) = config.bind
        && address.ip().is_unspecified()
    {
        tracing::warn!(%address, "callbacks and health are served on every interface: see `bind`");
    }
    let (commands, receiver) = mpsc::channel(64);
    let (last, known) = watch::channel(None);
    let public = Server::builder().name("optoggles").max_body(http::MAX_CALLBACK);
    let public = public.listen(config.bind.clone()).bind().await?;
    let management = Server::builder().name("optoggles-management");
    let management = management.listen(config.management_bind.clone()).bind().await?;
    let port = public.addresses().first().map_or(0, SocketAddr::port);
    let factory =
        Factory { tokens: tokens.clone(), record, port, instance: config.instance.clone() };
    let parts = factory.parts(&config, &Parts::default()).await?;
    let shared = Shared {
        commands,
        last: known,
        tokens,
        confirm_token: config.confirm_token.clone(),
        sources: Arc::default(),
    };
    let router = http::public(shared.clone());
    let public = public.serve(move |_peer| router.clone());
    let router = http::management(shared.clone());
    let management = management.serve(move |_peer| router.clone());
    tracing::info!(address = ?public.addresses(), management = ?management.addresses(), "listening");
    let servers = Servers { public: Some(public), management: Some(management) };
    let reload = path.map(|path| Reload { path, config: Box::new(config), factory });
    Ok(Running::start(parts, servers, shared, receiver, last, reload))
}

/// Starts an engine of parts that a program has made. Nothing listens for callbacks: the
/// program passes them on to its sources itself.
pub(super) async fn start_parts(
    parts: Parts,
    listen: Option<Listen>,
) -> Result<Running, EngineError> {
    let (commands, receiver) = mpsc::channel(64);
    let (last, known) = watch::channel(None);
    let shared = Shared {
        commands,
        last: known,
        tokens: Tokens::random()?,
        confirm_token: None,
        sources: Arc::default(),
    };
    let management = match listen {
        None => None,
        Some(listen) => {
            let builder = Server::builder().name("optoggles-management").listen(listen);
            let router = http::observation(shared.clone());
            Some(builder.bind().await?.serve(move |_peer| router.clone()))
        }
    };
    let servers = Servers { public: None, management };
    Ok(Running::start(parts, servers, shared, receiver, last, None))
}
