//! Certificates made for one test, as PEM files and as configurations of a server.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

/// A CA with a server's and a client's certificate, and a self-signed one that is CA and server at
/// once, as `openssl req -x509` makes them. The files are deleted when this is dropped.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
    ca: CertificateDer<'static>,
    server: Pair,
    self_signed: Pair,
}

#[derive(Debug)]
struct Pair {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificates {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let save = |name: &str, certificate: &Certificate, key: &KeyPair| {
            let path = directory.path().join(name);
            fs::write(path.with_extension("crt"), certificate.pem()).unwrap();
            fs::write(path.with_extension("key"), key.serialize_pem()).unwrap();
            Pair { certificate: certificate.der().clone(), key: key.serialize_der() }
        };

        let ca = CertifiedIssuer::self_signed(authority("Test CA", &[]), new_key()).unwrap();
        let ca_certificate: &Certificate = ca.as_ref();
        save("ca", ca_certificate, ca.key());

        let leaf = |name: &str, usage| {
            let mut params = parameters("localhost", &SERVER_NAMES);
            params.use_authority_key_identifier_extension = true;
            params.extended_key_usages = vec![usage];
            let key = new_key();
            save(name, &params.signed_by(&key, &ca).unwrap(), &key)
        };
        let server = leaf("server", ExtendedKeyUsagePurpose::ServerAuth);
        leaf("client", ExtendedKeyUsagePurpose::ClientAuth);

        let key = new_key();
        let certificate = authority("localhost", &SERVER_NAMES).self_signed(&key).unwrap();
        let self_signed = save("self-signed", &certificate, &key);

        let ca = ca_certificate.der().clone();
        Self { directory, ca, server, self_signed }
    }

    /// The CA's certificate, for a client to trust.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// The server's certificate, for localhost, 127.0.0.1 and `::1`.
    pub fn server_cert(&self) -> PathBuf {
        self.path("server.crt")
    }

    pub fn server_key(&self) -> PathBuf {
        self.path("server.key")
    }

    pub fn client_cert(&self) -> PathBuf {
        self.path("client.crt")
    }

    pub fn client_key(&self) -> PathBuf {
        self.path("client.key")
    }

    /// CA and end entity at once, which rustls rejects as `CaUsedAsEndEntity`.
    pub fn self_signed_cert(&self) -> PathBuf {
        self.path("self-signed.crt")
    }

    pub fn self_signed_key(&self) -> PathBuf {
        self.path("self-signed.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// For a server with the certificate that the CA signed.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        server_config(&self.server, None)
    }

    /// For a server that accepts only clients with a certificate of the CA.
    pub fn mutual_server_config(&self) -> Arc<ServerConfig> {
        server_config(&self.server, Some(&self.ca))
    }

    /// For a server with the self-signed certificate.
    pub fn self_signed_server_config(&self) -> Arc<ServerConfig> {
        server_config(&self.self_signed, None)
    }
}

const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

fn new_key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn parameters(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<_> = alternatives.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(alternatives).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str, alternatives: &[&str]) -> CertificateParams {
    let mut params = parameters(name, alternatives);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if alternatives.is_empty() {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    }
    params
}

fn server_config(pair: &Pair, clients: Option<&CertificateDer<'static>>) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivatePkcs8KeyDer::from(pair.key.clone()).into();
    let mut config = builder.with_single_cert(vec![pair.certificate.clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}
