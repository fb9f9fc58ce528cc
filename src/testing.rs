//! What the unit tests of several modules share.

/// Installs cryptography for TLS, as a program without `tls-ring` and `tls-aws-lc`
/// has to do itself.
pub(crate) fn bring_cryptography() {
    if cfg!(not(any(feature = "tls-ring", feature = "tls-aws-lc"))) {
        // It fails if another test of the process has installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
