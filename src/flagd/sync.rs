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
            stream::{Cause, End, Failure, at},
            sync_stream::{Opening, SyncStream, open},
        },
        options::table::FlagdOptions,
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
    stream: Option<SyncStream>,
    /// The first stream, or the one that is to follow.
    opening: Option<Opening>,
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
        Ok(Self {
            name: plan.target.to_string(),
            patience: plan::first_attempt(&options),
            options,
            plan,
            failed: false,
            connection: None,
            stream: None,
            opening: None,
            last: None,
            hasher: RandomState::new(),
        })
    }

    /// Waits for the next definition, the same as the last perhaps.
    async fn receive(&mut self) -> Result<Definition, Failure> {
        loop {
            if self.stream.is_none() && self.opening.is_none() {
                self.begin()?;
            }
            let due = self.stream.as_ref().and_then(|stream| stream.successor_due);
            tokio::select! {
                biased;
                opened = resolve(&mut self.opening) => {
                    self.opening = None;
                    match opened {
                        // The old stream has nothing to tell that the new one does not.
                        Ok((stream, definition)) => {
                            self.stream = Some(stream);
                            return Ok(definition);
                        }
                        Err(failure) if self.stream.is_none() => return Err(failure),
                        Err(failure) => {
                            tracing::debug!(error = failure.message, "the next stream did not open");
                        }
                    }
                }
                received = pull(&mut self.stream) => match received {
                    Ok(definition) => return Ok(definition),
                    Err((End::Failed(failure), _)) => return Err(failure),
                    // A server that ends streams at once, whatever it says, must not be asked at once.
                    Err((End::Planned, age)) if age < self.options.retry_backoff() => {
                        let message = "it ends its streams at once".to_owned();
                        return Err(Failure { message, cause: Cause::Stream });
                    }
                    Err((End::Planned, _)) => self.stream = None,
                },
                () = at(due) => {
                    self.begin()?;
                    if let Some(stream) = &mut self.stream {
                        stream.successor_due = None;
                    }
                }
            }
        }
    }

    /// Begins to open a stream, over the connection in use or a new one.
    fn begin(&mut self) -> Result<(), Failure> {
        let connection = match self.connection.clone() {
            Some(connection) => connection,
            None => Connection::new(&self.options, &self.plan.target, self.patience)
                .map(Arc::new)
                .map_err(|error| Failure { message: chain(&error), cause: Cause::Options })?,
        };
        self.connection = Some(connection.clone());
        let lifetime = self.options.stream_deadline();
        let (provider, selector) = (self.options.provider_id(), self.options.selector());
        self.opening = Some(open(connection, provider, selector, lifetime, self.patience));
        Ok(())
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
        (self.connection, self.stream, self.opening, self.last) = (None, None, None, None);
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

async fn resolve(opening: &mut Option<Opening>) -> Result<(SyncStream, Definition), Failure> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn pull(stream: &mut Option<SyncStream>) -> Result<Definition, (End, Duration)> {
    match stream {
        Some(stream) => stream.next().await.map_err(|end| (end, stream.age())),
        None => std::future::pending().await,
    }
}
