//! The headers of the option `headers`, whose values are secrets.
//!
//! Values are kept in memory that is overwritten when it is freed, and are read
//! in two places only: where they are checked, and where the connection is set
//! up.

use secrecy::{ExposeSecret, SecretString};

/// Headers to send with each call and stream.
///
/// All values are treated as secrets: `Debug` does not show them, and no error,
/// log line or accessor does. A name may occur more than once; each occurrence is
/// sent. Set headers with
/// [`FlagdOptionsBuilder::headers`](crate::flagd::FlagdOptionsBuilder::headers) or
/// [`header`](crate::flagd::FlagdOptionsBuilder::header).
///
/// ```
/// use flagstaff::FlagdOptions;
///
/// let options = FlagdOptions::builder()
///     .headers([("authorization", "Bearer secret")])
///     .without_env()
///     .build()?;
/// let headers = options.headers();
/// assert_eq!(headers.len(), 1);
/// assert!(headers.names().eq(["authorization"]));
/// assert!(!format!("{headers:?}").contains("secret"));
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, SecretString)>);

impl Headers {
    pub(crate) fn new(
        headers: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let secret = |value: String| SecretString::from(value);
        Self(headers.into_iter().map(|(name, value)| (name.into(), secret(value.into()))).collect())
    }

    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into().into()));
    }

    /// The names and the values, which must not be shown in any message.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.expose_secret()))
    }

    /// The names, in the order in which they were set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// How many headers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
