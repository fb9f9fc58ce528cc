//! Flag definitions from flagd, or from any server of its sync protocol.
//!
//! [`SyncSource`] is a [`FlagSource`] over `client`'s sync stream. It owns one
//! connection and the [rotation](Rotation) of its streams, and it is pulled: it
//! spawns nothing, so dropping it closes the connection. Its owner waits between
//! attempts and keeps the lifecycle; after an error, a call of `next` makes the
//! next attempt.
//!
//! ```text
//! next() -> connection -> rotation -> definition -> same as the last one? -> wait on
//!                                         |                 no -> return it
//!                                      failure -> drop connection and streams, return the error
//! ```

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use super::error::FlagdError;
use async_trait::async_trait;

use crate::{
    excerpt::{chain, excerpt},
    flagd::{
        client::{
            channel::Connection,
            plan::{self, Plan},
            rotation::{Rotation, Turn},
            stream::{Cause, Failure},
            sync_stream::SyncStream,
        },
        options::table::FlagdOptions,
        proto::sync::SyncFlagsRequest,
    },
    source::{Definition, FlagSource, SourceError},
};

/// A source of flag definitions that receives them from flagd (`SyncFlags`).
///
/// The provider uses it with the resolver `in-process`. Use it yourself to
/// serve or evaluate flagd's flags without a provider, for example as a source
/// of the server.
///
/// From the options it takes the address, TLS, the headers, `selector`,
/// `providerId`, `streamDeadlineMs`, `keepAliveTime`, `fatalStatusCodes` and the
/// times that bound an attempt to connect. A stream that reaches
/// `streamDeadlineMs` is replaced before it ends. Each definition comes with
/// flagd's sync context, as [`Definition::context`]; servers that do not send it
/// with the flags are called for it (`GetMetadata`).
///
/// [`next`](FlagSource::next) is cancel-safe. It returns a definition only if it
/// differs from the one before, in its text or its sync context. An error is
/// [fatal](SourceError::is_fatal) if flagd responded with one of the
/// `fatalStatusCodes`, or if the first attempt shows that the options cannot be
/// used, such as a certificate file that is missing.
///
/// ```
/// use flagstaff::{FlagdOptions, flagd::{Resolver, SyncSource}, source::FlagSource};
///
/// // With this resolver, the port is 8015 by default.
/// let options = FlagdOptions::builder().resolver(Resolver::InProcess).host("flags.internal");
/// let source = SyncSource::new(options.without_env().build()?)?;
/// assert_eq!(source.name(), "flags.internal:8015");
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
pub struct SyncSource {
    options: FlagdOptions,
    plan: Plan,
    /// The address of flagd, for messages and as the name of the source.
    name: String,
    /// How long one attempt to open a stream may take. The first may take longer
    /// than the others.
    patience: Duration,
    /// Whether an attempt has failed. Before that, options that cannot be used
    /// are fatal.
    failed: bool,
    /// None before the first attempt and after a failure.
    connection: Option<Arc<Connection>>,
    rotation: Rotation<SyncStream>,
    /// The digest of the last definition that was returned. None after a failure,
    /// because the caller then expects the current definition, changed or not.
    last: Option<u64>,
    /// Seeds the digest, so that nobody can make two definitions that have the
    /// same one.
    hasher: RandomState,
}

impl SyncSource {
    /// Creates the source. It connects on the first call of
    /// [`next`](FlagSource::next).
    ///
    /// The resolver in the options has no effect here, except that it decides on
    /// the default port: 8015 with [`Resolver::InProcess`](crate::flagd::Resolver::InProcess).
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] if the target URI does not parse, or a name
    /// in `fatalStatusCodes` is not a gRPC status code.
    pub fn new(options: FlagdOptions) -> Result<Self, FlagdError> {
        let plan = Plan::new(&options)?;
        let patience = plan::first_attempt(&options);
        Ok(Self {
            name: plan.target.to_string(),
            rotation: Rotation::new(plan::rotation(&options, patience)),
            patience,
            options,
            plan,
            failed: false,
            connection: None,
            last: None,
            hasher: RandomState::new(),
        })
    }

    /// Waits for the next definition, which may be the same as the last one.
    ///
    /// Cancel-safe: the connection and the stream that is being opened stay in
    /// `self`.
    async fn receive(&mut self) -> Result<Definition, Failure> {
        let connection = match &self.connection {
            Some(connection) => connection,
            None => self.connection.insert(
                Connection::new(&self.options, &self.plan.target, self.patience)
                    .map(Arc::new)
                    .map_err(|error| Failure { message: chain(&error), cause: Cause::Options })?,
            ),
        };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let open = || {
            let connection = connection.clone();
            let request = SyncFlagsRequest {
                provider_id: text(self.options.provider_id()),
                selector: text(self.options.selector()),
            };
            async move { SyncStream::open(&connection, request).await }
        };
        match self.rotation.next(open).await? {
            Turn::Opened(definition) | Turn::Replaced(definition) | Turn::Item(definition) => {
                Ok(definition)
            }
        }
    }

    /// Drops the streams and the connection, and makes an error of the failure.
    ///
    /// The connection is dropped too, because one that went silent does not
    /// recover, and because certificates may have been renewed.
    fn lost(&mut self, failure: &Failure) -> SourceError {
        let message = format!("flagd at {}: {}", excerpt(&self.name), failure.message);
        let fatal = match failure.cause {
            Cause::Status(code) => self.plan.fatal.contains(&code),
            // After the first attempt, a file may be in the middle of being replaced.
            Cause::Options => !self.failed,
            Cause::Stream | Cause::Shutdown | Cause::Unanswered => false,
        };
        self.failed = true;
        self.patience = plan::later_attempt(&self.options);
        self.rotation = Rotation::new(plan::rotation(&self.options, self.patience));
        (self.connection, self.last) = (None, None);
        if fatal { SourceError::fatal(message) } else { SourceError::new(message) }
    }
}

#[async_trait]
impl FlagSource for SyncSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        loop {
            let definition = match self.receive().await {
                Ok(definition) => definition,
                Err(failure) => return Err(self.lost(&failure)),
            };
            let Definition { text, context, .. } = &definition;
            let digest = self.hasher.hash_one((text, context));
            if self.last.replace(digest) != Some(digest) {
                return Ok(definition);
            }
        }
    }
}

/// Shows the options, which hide the values of headers.
impl fmt::Debug for SyncSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSource").field("options", &self.options).finish_non_exhaustive()
    }
}
