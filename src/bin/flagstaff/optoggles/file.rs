//! The argument that says where the configuration file is, shared by the commands.

use std::path::PathBuf;

use flagstaff::optoggles::{Config, ConfigError};

/// The configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct File {
    /// Configuration file; by default `/etc/optoggles/config.yaml`, or `./config.yaml` if that does
    /// not exist.
    #[arg(short, long, env = "OPTOGGLES_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl File {
    /// The path that was given, or that of the file that is found.
    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        self.config.clone().map_or_else(Config::find, Ok)
    }
}
