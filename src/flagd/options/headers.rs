//! The headers of the option `headers`, whose values are secrets.

use secrecy::{ExposeSecret, SecretString};

/// Headers to send with each call. Their values are never shown.
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

    /// The names and the values, which must not be shown.
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

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
