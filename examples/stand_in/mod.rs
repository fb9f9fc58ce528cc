//! Chooses the flagd of an example: the one named by `FLAGD_HOST`, or else this crate's own server, in
//! this process and on a free port.
//!
//! The server serves `examples/flags.json`, or the file given as the first argument, and watches it.
// Each example uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::{env, error::Error, path::PathBuf, time::Duration};

use flagstaff::{FlagdOptions, FlagdProvider, server::Server, source::FileSource};

/// A provider, and its server if that runs in this process.
pub struct Flags {
    pub provider: FlagdProvider,
    pub server: Option<Server>,
}

impl Flags {
    /// Connects, and prints which flagd it is.
    pub async fn connect() -> Result<Self, Box<dyn Error>> {
        if env::var_os("FLAGD_HOST").is_some() {
            let provider = FlagdProvider::from_env()?;
            let options = provider.options();
            println!("flagd at {}:{} (FLAGD_HOST)", options.host(), options.port());
            return Ok(Self { provider, server: None });
        }
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flags.json");
        let file = env::args_os().nth(1).map_or_else(|| default.into(), PathBuf::from);
        let source = FileSource::new(&file, Duration::from_secs(1));
        let server = Server::builder().source(source).ephemeral().bind().await?;
        let port = server.evaluation_addr().ok_or("the server listens on TCP")?.port();
        println!("FLAGD_HOST is not set: a server on port {port} serves {}", file.display());
        server.ready().await;
        // The variables of the environment are not meant for this server.
        let options = FlagdOptions::builder().host("127.0.0.1").port(port);
        let options = options.without_env().build()?;
        Ok(Self { provider: FlagdProvider::new(options), server: Some(server) })
    }
}
