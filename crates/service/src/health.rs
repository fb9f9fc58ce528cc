//! Checks a service on the same machine, as a probe in an image that contains no other program.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::http::{Request, StatusCode};
use clap::{Arg, ArgAction, ArgMatches, Command};
use flagstaff::http::{Client, ClientError};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::settings::Serving;

/// How long the service may take to respond.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A service that is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// It responds that it is not.
    #[error("{url}: {status}")]
    Status {
        /// What was requested.
        url: String,
        /// The response.
        status: StatusCode,
    },
    /// It does not respond, or the request cannot be made.
    #[error("the service is unreachable")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The command `health`.
#[must_use]
pub fn command() -> Command {
    Command::new("health")
        .about("Checks the server that runs on this machine with the same options")
        .after_help("Exit code: 0 if it is healthy, else 1.")
        .arg(
            Arg::new("readiness")
                .long("readiness")
                .action(ArgAction::SetTrue)
                .help("Checks that the database is available, and not only that the server runs"),
        )
}

/// Runs the command.
///
/// # Errors
///
/// The service is unreachable, or says that it is not healthy.
pub async fn run(serving: &Serving, matches: &ArgMatches) -> Result<(), HealthError> {
    let (path, healthy) = if matches.get_flag("readiness") {
        ("/health/ready", "ready")
    } else {
        ("/health/live", "healthy")
    };
    check(serving.listen, serving.tls.is_some(), path).await?;
    println!("{healthy}");
    Ok(())
}

/// Requests a path of the service that listens at this address, and expects 200.
///
/// # Errors
///
/// The service is unreachable, or responds with another status.
pub async fn check(listen: SocketAddr, tls: bool, path: &str) -> Result<(), HealthError> {
    let unreachable = |error: ClientError| HealthError::Unreachable(error.into());
    let mut client = Client::builder().without_proxy().max_redirects(0).timeout(TIMEOUT);
    if tls {
        client = client
            .tls_config(any_certificate().map_err(|error| HealthError::Unreachable(error.into()))?);
    }
    let client = client.build().map_err(unreachable)?;
    let scheme = if tls { "https" } else { "http" };
    let mut result = Ok(());
    for address in addresses(listen) {
        let url = format!("{scheme}://{address}{path}");
        let request = Request::get(&url).body("");
        let request = request.map_err(|error| HealthError::Unreachable(error.into()))?;
        match client.send(request).await.map(|response| response.status()) {
            Ok(StatusCode::OK) => return Ok(()),
            Ok(status) => return Err(HealthError::Status { url, status }),
            Err(error) => result = Err(unreachable(error)),
        }
    }
    result
}

/// Where a service that listens there is reached. One that listens on every interface of IPv6
/// mostly serves IPv4 too, and a container may have only that.
fn addresses(listen: SocketAddr) -> Vec<SocketAddr> {
    let loopback: &[IpAddr] = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        }
        _ => return vec![listen],
    };
    loopback.iter().map(|ip| SocketAddr::new(*ip, listen.port())).collect()
}

/// TLS with a server whose certificate is not verified: it is issued for the public name of the
/// service, which is not the address here. Nothing secret is sent.
fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Accepts every certificate whose key the server has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_every_interface_is_reached_over_loopback() {
        let found = |listen: &str| {
            let addresses = addresses(listen.parse().expect(listen));
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("0.0.0.0:8080"), ["127.0.0.1:8080"]);
        assert_eq!(found("[::]:8080"), ["127.0.0.1:8080", "[::1]:8080"]);
        assert_eq!(found("192.0.2.1:443"), ["192.0.2.1:443"]);
    }
}
