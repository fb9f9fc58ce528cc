//! Which flagd `eval`, `render` and `watch` use, and how they connect to it.
//!
//! Options override `FLAGD_*` variables, and these override the defaults. Only the options are
//! read here: whatever is not given is left to the library's [`FlagdOptions`], which reads the
//! variables, knows the defaults and validates the whole. So the program finds flagd exactly
//! as a provider in the same environment does.
//!
//! That is also why clap does not read the variables (`env = ...`): it would parse them by
//! rules of its own, and the library's errors name the variable at fault.

use std::{path::PathBuf, time::Duration};

use flagstaff::{FlagdError, FlagdOptions, flagd::Resolver};
use secrecy::{ExposeSecret, SecretString};

/// Each option can come from the variable that it names.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Evaluate in this program, with the flags of flagd's sync service; the port is 8015 by default
    /// [env: `FLAGD_RESOLVER=in-process`].
    #[arg(long, conflicts_with = "file")]
    in_process: bool,
    /// Evaluate in this program, with the flags of this file, without flagd.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Host of flagd [env: `FLAGD_HOST`] [default: `localhost`].
    #[arg(long)]
    host: Option<String>,
    /// Port of flagd [env: `FLAGD_PORT`] [default: `8013`].
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The target, in place of host and port: `dns:///host:port`, `unix:///path` or
    /// `envoy://host:port/authority` [env: `FLAGD_TARGET_URI`].
    #[arg(long, value_name = "URI")]
    target_uri: Option<String>,
    /// A unix socket of flagd, in place of host and port [env: `FLAGD_SOCKET_PATH`].
    #[arg(short = 'd', long, value_name = "PATH")]
    socket_path: Option<PathBuf>,
    /// Encrypt the connection [env: `FLAGD_TLS`].
    #[arg(long)]
    tls: bool,
    /// PEM file with the certificate authorities to trust [env: `FLAGD_SERVER_CERT_PATH`].
    #[arg(long, value_name = "PATH")]
    cert_path: Option<PathBuf>,
    /// PEM file with the client certificate, for mutual TLS [env: `FLAGD_CLIENT_CERT_PATH`].
    #[arg(long, value_name = "PATH")]
    client_cert_path: Option<PathBuf>,
    /// PEM file with the private key of that certificate [env: `FLAGD_CLIENT_KEY_PATH`].
    #[arg(long, value_name = "PATH")]
    client_key_path: Option<PathBuf>,
    /// The HTTP/2 authority, in place of the host [env: `FLAGD_DEFAULT_AUTHORITY`].
    #[arg(long, value_name = "NAME")]
    authority: Option<String>,
    /// A header to send with each call, `name=value`; can be repeated [env: `FLAGD_HEADERS`].
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<Header>,
    /// Only the flags of this flag set or source, `flagSetId=id` or `source=uri`
    /// [env: `FLAGD_SOURCE_SELECTOR`].
    #[arg(long)]
    selector: Option<String>,
    /// How long to wait for flagd, in milliseconds [env: `FLAGD_DEADLINE_MS`] [default: `500`].
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
}

/// Name and value of a header.
type Header = (String, SecretString);

impl Connection {
    /// The provider's options; whatever was not given comes from the environment.
    ///
    /// # Errors
    ///
    /// An option or a variable is invalid, or two contradict each other.
    pub(crate) fn options(self) -> Result<FlagdOptions, FlagdError> {
        let mut builder = FlagdOptions::builder();
        macro_rules! set {
            ($($option:ident),+) => {
                $(if let Some(value) = self.$option { builder = builder.$option(value); })+
            };
        }
        set!(host, port, target_uri, socket_path, cert_path, client_cert_path, client_key_path);
        set!(authority, selector);
        if self.in_process {
            builder = builder.resolver(Resolver::InProcess);
        }
        if let Some(path) = self.file {
            builder = builder.resolver(Resolver::File).offline_flag_source_path(path);
        }
        if self.tls {
            builder = builder.tls(true);
        }
        if !self.headers.is_empty() {
            let headers = self.headers.into_iter();
            builder = builder
                .headers(headers.map(|(name, value)| (name, value.expose_secret().to_owned())));
        }
        if let Some(deadline) = self.deadline_ms {
            builder = builder.deadline(Duration::from_millis(deadline));
        }
        builder.build()
    }
}

/// Splits a header at the first equals sign. White space around the name is removed.
///
/// The error does not quote the text, which may be a secret. clap would, so `main` removes
/// it there.
fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.into()))
}
