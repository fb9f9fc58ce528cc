//! From the options to a server that runs.
//!
//! [`bind`](ServerBuilder::bind) takes the builder apart field by field: an option
//! that nobody handles does not compile. It reads certificates and parses origins
//! and header names before it opens a port, so that an invalid option never leaves
//! a port open.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::HeaderName;
use tokio::sync::watch;

use super::{ServerBuilder, Tls};
use crate::{
    evaluator::FlagSet,
    excerpt::excerpt,
    http::{BindError, Bound, Certificates, Listen, tls::ServerTls},
    server::{
        connection::Service,
        context_changes,
        core::{Awaited, Core},
        cors::Cors,
        error::ServerError,
        feed::Feed,
        flags::{self, Flags},
        metrics::Metrics,
        running::Server,
        store::{Store, selector::Selector},
    },
    source::warned::Warned,
};

impl ServerBuilder {
    /// Opens the ports and starts to serve.
    ///
    /// The flags are loaded meanwhile; [`Server::ready`] waits for them.
    ///
    /// # Before the flags are loaded
    ///
    /// - Event streams and sync streams send their first message once every
    ///   source has delivered a definition, valid or not. They wait at most 5 s
    ///   from the start, so that a broken source does not keep the flags of the
    ///   others from clients, and longer only while no source has flags.
    /// - A unary request waits in the same way, but not longer than its own
    ///   deadline. If there are still no flags, it fails with `UNAVAILABLE`, or
    ///   over OFREP with status 503 and `Retry-After`. A result would say that
    ///   the flags do not exist.
    /// - `/readyz` fails until every source has delivered a valid definition.
    ///
    /// # Errors
    ///
    /// Returns an error if a port cannot be opened, a certificate or key cannot
    /// be used, or an option is invalid. Ports that were opened before are
    /// closed again.
    ///
    /// ```
    /// # use flagstaff::server::{Server, ServerError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let invalid = Server::builder().ephemeral().cors_origins(["https://shop.example/"]);
    /// let error = invalid.bind().await.unwrap_err();
    /// assert!(matches!(error, ServerError::Option { .. }));
    /// assert!(error.to_string().contains("write `https://shop.example`"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn bind(self) -> Result<Server, ServerError> {
        let Self {
            sources,
            evaluation,
            management,
            sync,
            ofrep,
            tls,
            client_authorities,
            cors,
            mut static_context,
            context_source,
            observer,
            default_flag_set,
            lowercase_flag_sets,
            headers,
            max_body,
            max_header,
            stream_deadline,
            sync_metadata,
            bucketing,
        } = self;
        let tls = match (tls, client_authorities) {
            (Some(Tls::Config(config)), None) => Some(Certificates::from(*config)),
            (Some(Tls::Pem(certificate, key)), clients) => {
                let tls = ServerTls::new(certificate, key);
                Some(Certificates::load(match clients {
                    Some(clients) => tls.client_authorities(clients),
                    None => tls,
                })?)
            }
            (None, None) => None,
            (None | Some(Tls::Config(_)), Some(_)) => {
                let reason = "they need TLS: set the server's certificate and key with `tls`";
                return Err(ServerError::option("client authorities", reason));
            }
        };
        for (header, name) in headers {
            static_context.headers.push((header_name(&header)?, name));
        }
        let origins = Cors::new(&cors)?;
        let mut ports = Vec::new();
        for (service, listen) in [
            (Service::Evaluation, evaluation),
            (Service::Sync, sync),
            (Service::Ofrep, ofrep),
            (Service::Management, management),
        ] {
            let encrypted = matches!(service, Service::Evaluation | Service::Sync);
            let tls = tls.clone().filter(|_| encrypted);
            if let Some(listen) = listen {
                ports.push((service, bind(service, listen, tls, max_header).await?));
            }
        }

        let names = distinct(sources.iter().map(|source| source.name()));
        let store = Store::new(names.iter().cloned().chain([flags::NAME.into()]));
        let core = Arc::new(Core {
            store,
            awaited: Awaited::new(sources.len()),
            opened: AtomicBool::new(false),
            metrics: Metrics::new(sources.len() + 1, tls.is_some()),
            static_context,
            context_source,
            default_selector: default_flag_set
                .map_or(Selector::All, |id| Selector::FlagSet((!id.is_empty()).then_some(id))),
            lowercase_flag_sets,
            observer,
            cors: origins,
            max_body,
            stream_deadline,
            sync_metadata,
            stopping: watch::Sender::new(false),
        });
        let memory = Flags::new(core.clone(), sources.len(), bucketing);
        // The program's flags count as loaded from the start, even if there are none.
        let nothing = FlagSet::default().with_bucketing(bucketing);
        memory.change(|_| nothing);

        let feeds = sources.into_iter().zip(names).enumerate().map(|(index, (source, name))| {
            let feed = Feed { name, index, source, bucketing, warned: Warned::default() };
            tokio::spawn(feed.run(core.clone())).abort_handle()
        });
        let context = core.context_source.clone().map(|source| {
            tokio::spawn(context_changes::follow(core.clone(), source)).abort_handle()
        });
        let tasks = feeds.chain(context).collect();
        Ok(Server::start(core.clone(), memory, tasks, ports))
    }
}

/// How long a client may take to send the body of a request, as docs/server.md
/// says under "Limits".
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a port.
///
/// No limit on bodies is set here: the handlers limit what they read, because
/// each protocol rejects a body that is too long in its own way.
async fn bind(
    service: Service,
    listen: Listen,
    tls: Option<Certificates>,
    max_head: usize,
) -> Result<Bound, ServerError> {
    let mut builder = crate::http::Server::builder()
        .name(service.name())
        .listen(listen)
        // flagd has no limit either: when the system has no more files, clients wait.
        .max_connections(usize::MAX)
        .max_head(max_head)
        .body_timeout(BODY_TIMEOUT)
        // The service of a connection already knows what it needs.
        .extensions(false);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    builder.bind().await.map_err(|error| match error {
        BindError::Listen { address, source } => {
            ServerError::Listen { service: service.name(), address, source }
        }
    })
}

/// Makes the names of sources unique: the second of one name ends in `#2`, and
/// so on.
///
/// Names are not unique by themselves, because the name of a URL leaves out user,
/// password, query and fragment, and two URLs may differ only in these. The name
/// `memory` is reserved for the program's own flags:
///
/// ```text
/// ["a", "a", "memory", "a"]  ->  ["a", "a#2", "memory#2", "a#3"]
/// ```
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Arc<str>> {
    let mut taken = vec![Arc::from(flags::NAME)];
    for name in names {
        let numbered = (2..).map(|number| Arc::from(format!("{name}#{number}")));
        let mut candidates = std::iter::once(Arc::from(name)).chain(numbered);
        taken.extend(candidates.find(|candidate| !taken.contains(candidate)));
    }
    taken.split_off(1)
}

/// Parses the name of a header that [`ServerBuilder::context_from_header`] reads.
fn header_name(text: &str) -> Result<HeaderName, ServerError> {
    let reason = |_| format!("`{}` is not a valid header name", excerpt(text));
    text.parse().map_err(|error: http::header::InvalidHeaderName| {
        ServerError::option("context from header", reason(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_name_are_numbered() {
        for (names, expected) in [
            (&["a", "b"][..], &["a", "b"][..]),
            (&["a", "a", "b", "a"], &["a", "a#2", "b", "a#3"]),
            (&["a", "a#2", "a"], &["a", "a#2", "a#3"]),
            (&["memory"], &["memory#2"]),
        ] {
            let found = distinct(names.iter().copied());
            assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), expected);
        }
    }
}
