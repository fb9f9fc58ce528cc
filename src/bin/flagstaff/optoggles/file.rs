//! Where the configuration is.

use std::path::PathBuf;

use flagstaff::optoggles::{Config, ConfigError};

/// The configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct File {
    /// Configuration file; else `/etc/optoggles/config.yaml`, or `./config.yaml` if there is none.
    #[arg(short, long, env = "OPTOGGLES_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl File {
    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        self.config.clone().map_or_else(Config::find, Ok)
    }
}
