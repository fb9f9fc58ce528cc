//! The resolvers that the features are run for.

use flagstaff::flagd::Resolver;

/// A resolver: features are tagged with its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Suite {
    #[default]
    Rpc,
    InProcess,
    File,
}

impl Suite {
    /// Those of this build.
    pub(crate) const ALL: &[Self] = if cfg!(feature = "in-process") {
        &[Self::Rpc, Self::InProcess, Self::File]
    } else {
        &[Self::Rpc]
    };

    /// The tag without its `@`, and the name in the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::InProcess => "in-process",
            Self::File => "file",
        }
    }

    pub(crate) fn resolver(self) -> Resolver {
        match self {
            Self::Rpc => Resolver::Rpc,
            Self::InProcess => Resolver::InProcess,
            Self::File => Resolver::File,
        }
    }
}
