//! `flagstaff start`: a server in place of flagd.
//!
//! It takes the options and variables of `flagd start`, so that a command line written for
//! flagd works here too, and hands them to the library's [`Server`].
//!
//! | Module | Purpose |
//! |---|---|
//! | [`args`] | the options, with flagd's names, defaults and variables |
//! | [`unsupported`] | options of flagd that are rejected |
//! | [`sources`](mod@sources) | `--uri` and `--sources`, parsed and validated |
//! | [`open`] | from a parsed source to one that the server reads |
//!
//! The options and sources are validated before a port is opened. A file that does not exist
//! is an error at the start, as in flagd; a URL or a server that is unreachable is not, since
//! it may become reachable.
//!
//! "Differences in the server" in `docs/flagd.md` and "start" in `docs/cli.md` say where it
//! differs from flagd.

mod args;
mod open;
mod sources;
mod unsupported;

use std::{env, net::IpAddr, path::PathBuf, time::Duration};

use flagstaff::{
    Bucketing, ContextSource as _,
    flagops::Facts,
    http::Listen,
    server::{Server, ServerBuilder, ServerError},
};

use tokio::time::timeout;

pub(crate) use self::args::Args;
use self::{args::Generation, open::Failure, sources::Source};
use crate::{
    excerpt::chain,
    exit::{Exit, failed},
    logging,
    signals::Signals,
};

/// How long the start of the server waits for facts.
const FACTS_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the server until SIGTERM or SIGINT, and then shuts it down gracefully. A second signal
/// ends the program without waiting for open requests.
pub(crate) async fn run(args: Args) -> Exit {
    // First, so that whoever sees that the server listens can also end it.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(Exit::No, &format!("cannot listen for signals: {error}")),
    };
    let server = match start(args).await {
        Ok(server) => server,
        Err((exit, message)) => return failed(exit, &message),
    };
    signals.next().await;
    tracing::info!("shutting down; send another signal to exit at once");
    tokio::select! {
        () = server.shutdown() => {}
        () = signals.next() => {}
    }
    Exit::Success
}

/// Validates the options, opens the sources and starts the server.
///
/// # Errors
///
/// The exit code and the message: [`Exit::Usage`] for an invalid option or variable, and
/// [`Exit::No`] if the server cannot start, or has no source.
async fn start(args: Args) -> Result<Server, Failure> {
    let usage = |message| (Exit::Usage, message);
    args.unsupported.check().map_err(usage)?;
    let args = args.with_environment(|name| env::var(name).ok()).map_err(usage)?;
    logging::init(args.log_format, args.debug);
    let sources = sources(&args).map_err(usage)?;
    if sources.is_empty() {
        let message = "no source of flags: set --uri or --sources (FLAGD_URI, FLAGD_SOURCES)";
        return Err((Exit::No, message.to_owned()));
    }
    for variable in ["FLAGD_PORT", "FLAGD_MANAGEMENT_PORT", "FLAGD_SYNC_PORT", "FLAGD_OFREP_PORT"] {
        if env::var(variable).is_ok_and(|text| text.starts_with("tcp://")) {
            tracing::warn!(variable, "ignored: Kubernetes sets it for a Service of this name");
        }
    }
    if args.keep_alive_min_time.is_some() || !args.keep_alive_permit_without_stream {
        tracing::warn!("--keep-alive-* has no effect: clients may ping as often as they like");
    }
    let mut builder = builder(&args);
    for (given, source) in &sources {
        builder = builder.boxed_source(open::open(given, source)?);
    }
    if let Some(client) = args.facts.client().map_err(usage)? {
        let facts = Facts::builder(client).mirror(args.facts_prefix.unwrap_or_default()).build();
        // The first evaluations should have them, but an outage must not keep the server from starting.
        if timeout(FACTS_TIMEOUT, facts.ready()).await.is_err() {
            tracing::warn!(facts = facts.name(), "starting without facts, which are unavailable");
        }
        builder = builder.context_source(facts);
    }
    let server = builder.bind().await.map_err(|error| match error {
        ServerError::Option { .. } => usage(error.to_string()),
        _ => (Exit::No, chain(&error)),
    })?;
    for (service, address) in [
        ("evaluation", server.evaluation_addr()),
        ("management", server.management_addr()),
        ("sync", server.sync_addr()),
        ("ofrep", server.ofrep_addr()),
    ] {
        if let Some(address) = address {
            tracing::info!(service, %address, "listening");
        }
    }
    Ok(server)
}

/// The sources of `--uri`, followed by those of `--sources`, as in flagd: if two have the
/// same flag, the later one wins. With each comes the option that it was given with, for
/// errors.
fn sources(args: &Args) -> Result<Vec<(String, Source)>, String> {
    let mut sources = Vec::new();
    for uri in &args.uris {
        sources.push((format!("--uri `{}`", sources::shown(uri)), sources::from_uri(uri)?));
    }
    if let Some(text) = args.sources.as_deref().filter(|text| !text.is_empty()) {
        let listed = sources::from_json(text)?.into_iter().enumerate();
        sources.extend(listed.map(|(index, source)| {
            (format!("--sources, number {} (`{}`)", index + 1, source.shown()), source)
        }));
    }
    Ok(sources)
}

/// The server that the options describe, without its sources.
fn builder(args: &Args) -> ServerBuilder {
    let host = args.host;
    let mut builder = Server::builder()
        .evaluation(listen(host, args.port, args.socket_path.as_ref()))
        .management(listen(host, args.management_port, None))
        .sync(listen(host, args.sync_port, args.sync_socket_path.as_ref()))
        .ofrep(listen(host, args.ofrep_port, None))
        .cors_origins(&args.cors_origins)
        // 0 is not a limit of 0 bytes, as in flagd.
        .max_request_body(unless_zero(args.max_request_body, usize::MAX))
        .max_request_header(unless_zero(args.max_request_header, 1 << 20))
        .stream_deadline(args.stream_deadline)
        .sync_metadata(!args.disable_sync_metadata)
        .bucketing(match args.bucketing {
            Generation::String => Bucketing::String,
            Generation::Cbor => Bucketing::Cbor,
        });
    let tls = (given(args.server_cert_path.as_ref()), given(args.server_key_path.as_ref()));
    if let (Some(certificate), Some(key)) = tls {
        builder = builder.tls(certificate, key);
    }
    if let Some(path) = &args.client_ca_path {
        builder = builder.client_authorities(path);
    }
    if let Some(id) = &args.default_flag_set {
        builder = builder.default_flag_set(id);
    }
    for (name, value) in &args.context_values {
        builder = builder.context_value(name, value.as_str());
    }
    for (header, name) in &args.context_from_headers {
        builder = builder.context_from_header(header, name);
    }
    builder
}

/// The number of bytes, or `otherwise` for 0.
fn unless_zero(bytes: usize, otherwise: usize) -> usize {
    if bytes == 0 { otherwise } else { bytes }
}

/// The path, unless it is empty. An empty one comes from a variable that a template left
/// empty.
fn given(path: Option<&PathBuf>) -> Option<&PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

/// Where a service listens: on its Unix socket, if it has one, or else on its port.
fn listen(host: IpAddr, port: u16, socket: Option<&PathBuf>) -> Listen {
    given(socket).map_or_else(|| Listen::from((host, port)), |path| Listen::from(path.clone()))
}
