//! A TLS client that checks the server's certificate, and may present its own.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use super::{certs::Certificates, wait::bounded};

/// A connection to `localhost` at this address that speaks `protocol`. It trusts these authorities,
/// and presents the certificate of `client`, if any.
pub async fn connect(
    address: SocketAddr,
    trusted: &[&Certificates],
    client: Option<&Certificates>,
    protocol: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let certificate = |path: &Path| CertificateDer::from_pem_file(path).unwrap();
    let mut roots = RootCertStore::empty();
    for certificates in trusted {
        roots.add(certificate(&certificates.ca())).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::from_pem_file(client.client_key()).unwrap();
            config.with_client_auth_cert(vec![certificate(&client.client_cert())], key).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    bounded("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}
