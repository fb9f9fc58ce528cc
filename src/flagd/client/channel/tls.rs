//! The TLS configuration of a connection, with errors that name the option and the
//! file.
//!
//! tonic parses PEM files leniently and reports problems late, without a name.
//! They are therefore read and checked here first, and passed to tonic as they
//! are. Each error belongs to the option that has to change:
//!
//! | file | problem | option |
//! |---|---|---|
//! | `certPath` | cannot be read, has no certificate, or an invalid one | `certPath` |
//! | `clientCertPath` | the same | `clientCertPath` |
//! | `clientKeyPath` | cannot be read, has no key, or an encrypted one | `clientKeyPath` |
//! | both of the client | the key does not belong to the certificate | `clientKeyPath` |
//!
//! No error contains anything of what is in a file.

use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::{
    excerpt::chain,
    flagd::{
        error::FlagdError,
        options::{
            kind::OptionInfo,
            table::{FlagdOptions, row},
            target::Target,
        },
    },
    http::tls::{Pem, TlsError, cryptography},
};

/// Adds TLS to an endpoint: it trusts the authorities in `certPath`, or those of the
/// system without it, and presents the client's certificate if there is one.
///
/// The files are read whenever a connection is set up, so that renewed certificates
/// are used.
///
/// # Errors
///
/// [`FlagdError`] for the option that cannot be used.
pub(crate) fn with_tls(
    endpoint: Endpoint,
    options: &FlagdOptions,
    target: &Target,
) -> Result<Endpoint, FlagdError> {
    cryptography().map_err(|error| invalid(row::tls(), error))?;
    // An IPv6 address is in brackets in an authority, but not in a certificate.
    let server_name = target.authority.host().trim_matches(['[', ']']);
    let config = ClientTlsConfig::new().domain_name(server_name);
    let config = match options.cert_path() {
        Some(path) => config.ca_certificate(Certificate::from_pem(authorities(path)?)),
        None => config.with_native_roots(),
    };
    // First without the client's certificate, so that an error below is certainly about that.
    let encrypted = endpoint.clone().tls_config(config.clone()).map_err(|error| {
        FlagdError::Transport { target: target.to_string(), source: error.into() }
    })?;
    let (Some(cert), Some(key)) = (options.client_cert_path(), options.client_key_path()) else {
        return Ok(encrypted);
    };
    let (cert, key) = (Pem::from(cert), Pem::from(key));
    let identity = Identity::from_pem(
        checked(row::client_cert_path(), &cert, |text| cert.certificates(text).map(drop))?,
        checked(row::client_key_path(), &key, |text| key.private_key(text).map(drop))?,
    );
    endpoint.tls_config(config.identity(identity)).map_err(|error| {
        let reason = format!("cannot use {key} with the certificate in {cert}: {}", chain(&error));
        row::client_key_path().error(reason)
    })
}

/// The authorities in `certPath`, checked. tonic would leave out what it cannot
/// read, and each handshake would fail with `UnknownIssuer`.
fn authorities(path: &Path) -> Result<Vec<u8>, FlagdError> {
    let pem = Pem::from(path);
    checked(row::cert_path(), &pem, |text| pem.authorities(text).map(drop))
}

/// The content of a file, once `check` has accepted it.
fn checked(
    option: OptionInfo,
    pem: &Pem,
    check: impl FnOnce(&[u8]) -> Result<(), TlsError>,
) -> Result<Vec<u8>, FlagdError> {
    let text = pem.read().map_err(|error| invalid(option, error))?;
    check(&text).map_err(|error| invalid(option, error))?;
    Ok(text.into_owned())
}

/// A TLS error as an error of an option.
fn invalid(option: OptionInfo, error: TlsError) -> FlagdError {
    match error {
        TlsError::File { path, source } => option.file_error(&path, source),
        error => option.error(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;
    use crate::flagd::options::table::FlagdOptionsBuilder;

    /// A directory with a certificate, its key, and files that are neither.
    struct Files {
        dir: TempDir,
        key_pem: String,
    }

    impl Files {
        fn new() -> Self {
            crate::testing::bring_cryptography();
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(["flags.test".to_owned()]).unwrap();
            let key_pem = signing_key.serialize_pem();
            let files = Self { dir: tempfile::tempdir().unwrap(), key_pem };
            files.write("cert.pem", &cert.pem());
            files.write("key.pem", &files.key_pem);
            files.write("bundle.pem", &format!("{}{}", files.key_pem, cert.pem()));
            files.write("text", "no PEM at all");
            files.write("empty", "");
            files.write("cut.pem", &cert.pem()[..cert.pem().len() / 2]);
            // A PEM file whose line breaks were lost, as happens in an environment variable.
            files.write("line.pem", &files.key_pem.replace('\n', ""));
            files.write("cut-key.pem", &files.key_pem[..files.key_pem.len() / 2]);
            files.write("nonsense.pem", &pem_of("CERTIFICATE"));
            files.write("nonsense-key.pem", &pem_of("PRIVATE KEY"));
            files.write("locked-key.pem", &pem_of("ENCRYPTED PRIVATE KEY"));
            let other = generate_simple_self_signed(["other.test".to_owned()]).unwrap();
            files.write("other-key.pem", &other.signing_key.serialize_pem());
            files
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn client(&self, cert: &str, key: &str) -> FlagdOptionsBuilder {
            FlagdOptions::builder()
                .cert_path(self.path("cert.pem"))
                .client_cert_path(self.path(cert))
                .client_key_path(self.path(key))
        }
    }

    fn pem_of(label: &str) -> String {
        format!("-----BEGIN {label}-----\nbm9uc2Vuc2U=\n-----END {label}-----\n")
    }

    fn secured(builder: FlagdOptionsBuilder) -> Result<Endpoint, FlagdError> {
        let options = builder.host("flags.test").tls(true).without_env().build().unwrap();
        let endpoint = Endpoint::from_static("https://flags.test:8013");
        with_tls(endpoint, &options, &Target::new(&options)?)
    }

    #[test]
    fn good_files_are_taken() {
        let files = Files::new();
        secured(FlagdOptions::builder().cert_path(files.path("cert.pem"))).unwrap();
        secured(FlagdOptions::builder().cert_path(files.path("bundle.pem"))).unwrap();
        secured(files.client("cert.pem", "key.pem")).unwrap();
        secured(files.client("bundle.pem", "bundle.pem")).unwrap();
    }

    #[test]
    fn the_address_of_a_server_is_its_name_in_tls() {
        let files = Files::new();
        for host in ["::1", "[::1]", "127.0.0.1", "my_service"] {
            let builder = FlagdOptions::builder().host(host).cert_path(files.path("cert.pem"));
            let options = builder.without_env().build().unwrap();
            let target = Target::new(&options).unwrap();
            with_tls(Endpoint::from_static("https://flags.test"), &options, &target).unwrap();
        }
    }

    #[test]
    fn a_missing_file_is_named_with_its_option() {
        let files = Files::new();
        for (option, variable, builder) in [
            (
                "certPath",
                "FLAGD_SERVER_CERT_PATH",
                FlagdOptions::builder().cert_path(files.path("missing")),
            ),
            ("clientCertPath", "FLAGD_CLIENT_CERT_PATH", files.client("missing", "key.pem")),
            ("clientKeyPath", "FLAGD_CLIENT_KEY_PATH", files.client("cert.pem", "missing")),
        ] {
            let error = secured(builder).map(drop).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(option) && text.contains(variable), "{text}");
            assert!(text.contains(&files.path("missing").display().to_string()), "{text}");
            let FlagdError::File { option: named, variable: of, path, source } = error else {
                panic!("not of a file: {text}")
            };
            assert_eq!((named, of, path), (option, variable, files.path("missing")));
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_file_of_something_else_is_named_with_its_option_and_never_quoted() {
        let files = Files::new();
        let server = |name: &str| FlagdOptions::builder().cert_path(files.path(name));
        for (option, file, reason, builder) in [
            ("certPath", "text", "contains no PEM certificate", server("text")),
            ("certPath", "empty", "contains no PEM certificate", server("empty")),
            ("certPath", "key.pem", "contains no PEM certificate", server("key.pem")),
            ("certPath", "cut.pem", "is not valid PEM", server("cut.pem")),
            ("certPath", "line.pem", "is not valid PEM", server("line.pem")),
            ("certPath", "nonsense.pem", "can be read", server("nonsense.pem")),
            ("clientCertPath", "text", "no PEM certificate", files.client("text", "key.pem")),
            ("clientCertPath", "key.pem", "no PEM certificate", files.client("key.pem", "key.pem")),
            ("clientCertPath", "line.pem", "not valid PEM", files.client("line.pem", "key.pem")),
            ("clientKeyPath", "text", "no PEM private key", files.client("cert.pem", "text")),
            ("clientKeyPath", "cert.pem", "no PEM private", files.client("cert.pem", "cert.pem")),
            ("clientKeyPath", "line.pem", "no PEM private", files.client("cert.pem", "line.pem")),
            (
                "clientKeyPath",
                "cut-key.pem",
                "no PEM private",
                files.client("cert.pem", "cut-key.pem"),
            ),
            (
                "clientKeyPath",
                "locked-key.pem",
                "without a password",
                files.client("cert.pem", "locked-key.pem"),
            ),
            (
                "clientKeyPath",
                "nonsense-key.pem",
                "private key",
                files.client("cert.pem", "nonsense-key.pem"),
            ),
            (
                "clientKeyPath",
                "other-key.pem",
                "KeyMismatch",
                files.client("cert.pem", "other-key.pem"),
            ),
        ] {
            let error = secured(builder).map(drop).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(option), "{file}: {text}");
            assert!(text.contains(&files.path(file).display().to_string()), "{file}: {text}");
            assert!(text.contains(reason), "{file}: {text}");
            let shown = format!("{error:?} {text}");
            for line in files.key_pem.lines().filter(|line| !line.starts_with("-----")) {
                assert!(!shown.contains(line), "{file}: {text}");
                // `Debug` of the PEM parser's errors shows lines as lists of bytes.
                let bytes = format!("{:?}", &line.as_bytes()[..8]);
                assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{file}: {text}");
            }
        }
    }
}
