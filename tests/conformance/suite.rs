//! The resolvers that the features are run for.

/// One of them: features are tagged with its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Suite {
    #[default]
    Rpc,
}

impl Suite {
    pub(crate) const ALL: [Self; 1] = [Self::Rpc];

    /// The tag without its `@`, and the name in the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
        }
    }
}
