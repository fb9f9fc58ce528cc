//! Flag definitions from flagd, or from any server of its sync protocol.

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

/// flagd's flag definitions (`SyncFlags`), for evaluation in this process.
///
/// The address, TLS, the headers, `selector`, `providerId`, `streamDeadlineMs`, `keepAliveTime` and
/// `fatalStatusCodes` are those of the options. A stream whose time is over is replaced by the next
/// before it ends. Each definition comes with the facts that the server has for the evaluation
/// context.
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
    name: String,
    /// How long one attempt to open a stream may take.
    patience: Duration,
    /// Whether an attempt has failed.
    failed: bool,
    connection: Option<Arc<Connection>>,
    rotation: Rotation<SyncStream>,
    /// A digest of what was given last.
    last: Option<u64>,
    hasher: RandomState,
}

impl SyncSource {
    /// Keeps the options. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] when the target URI does not parse, or a status code is none.
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

    /// Waits for the next definition, the same as the last perhaps.
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

    /// What is lost is begun anew, the connection included: one that went silent is not mended, and
    /// certificates may have been renewed.
    fn lost(&mut self, failure: &Failure) -> SourceError {
        let message = format!("flagd at {}: {}", excerpt(&self.name), failure.message);
        let fatal = match failure.cause {
            Cause::Status(code) => self.plan.fatal.contains(&code),
            // Later, a file may be half way through being replaced.
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

/// What a header holds is a secret and stays hidden.
impl fmt::Debug for SyncSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSource").field("options", &self.options).finish_non_exhaustive()
    }
}
