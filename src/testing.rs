//! What the unit tests of several modules need.

/// Brings cryptography for TLS, as a program does that has neither `tls-ring` nor `tls-aws-lc`.
pub(crate) fn bring_cryptography() {
    if cfg!(not(any(feature = "tls-ring", feature = "tls-aws-lc"))) {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
