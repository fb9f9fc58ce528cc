//! The bearer tokens with which OPAL clients authenticate their callbacks.
//!
//! When a source registers its callback at an OPAL client, it sends a token along,
//! and the OPAL client presents that token with each callback. A token is the id of
//! the source and an HMAC-SHA256 of it, both in hexadecimal digits:
//!
//! ```text
//! 6f70616c.9b1c...
//! └─ opal  └─ HMAC-SHA256(secret, "opal"), 64 digits
//! ```
//!
//! Nothing has to be stored to recognize a token. Replicas behind one address that
//! share a `callbackSecret` accept each other's tokens; without one, the secret is
//! random and the tokens end with the process. A token does not expire, and grants
//! nothing except making the engine query the source once more.

use std::fmt::Write as _;

use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::{ExposeSecret as _, SecretString};

/// Issues callback tokens and verifies them. A token names its source, and cannot be
/// made without the secret.
#[derive(Clone)]
pub(crate) struct Tokens(hmac::Key);

/// The operating system provides no random numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system provides no random numbers for callback tokens")]
pub struct NoRandomNumbers;

impl Tokens {
    /// Derives tokens from a secret, so that every replica with that secret accepts
    /// them. The secret must not be empty.
    pub(crate) fn derived(secret: &SecretString) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes()))
    }

    /// Derives tokens from a random secret of 256 bits, so that only this process
    /// accepts them.
    pub(crate) fn random() -> Result<Self, NoRandomNumbers> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| NoRandomNumbers)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// Returns the token of a source.
    pub(crate) fn of(&self, source: &str) -> SecretString {
        let signature = hmac::sign(&self.0, source.as_bytes());
        format!("{}.{}", hex(source.as_bytes()), hex(signature.as_ref())).into()
    }

    /// Returns the id of the source that a token names, or `None` if the token is not a
    /// valid one. The signature is compared in constant time. The source need not exist
    /// (any more).
    pub(crate) fn source(&self, token: &str) -> Option<String> {
        let (source, signature) = token.split_once('.')?;
        let (source, signature) = (bytes(source)?, bytes(signature)?);
        hmac::verify(&self.0, &source, &signature).ok()?;
        String::from_utf8(source).ok()
    }
}

/// Whether `text` is the secret, compared in a time that does not reveal how much of
/// it is right. An empty secret equals no text.
///
/// Both are used as keys of an HMAC over nothing, and the results are compared: they
/// have the same length whatever the lengths of the texts.
pub(crate) fn is(secret: &SecretString, text: &str) -> bool {
    let key = |text: &str| hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
    let secret = secret.expose_secret();
    let signature = hmac::sign(&key(text), b"");
    !secret.is_empty() && hmac::verify(&key(secret), b"", signature.as_ref()).is_ok()
}

/// The bytes in lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes that pairs of hexadecimal digits stand for; `None` if there is an odd
/// number of digits or anything else.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let [high, low] = pair else { return None };
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_source() {
        let tokens = Tokens::derived(&"secret".into());
        let token = tokens.of("opal é");
        assert_eq!(tokens.source(token.expose_secret()).as_deref(), Some("opal é"));
        let replica = Tokens::derived(&"secret".into());
        assert_eq!(replica.source(token.expose_secret()).as_deref(), Some("opal é"));
    }

    #[test]
    fn secrets_are_compared() {
        assert!(is(&"hush".into(), "hush"));
        for (secret, text) in [("hush", "hus"), ("hush", ""), ("", ""), ("hush", "HUSH")] {
            assert!(!is(&secret.into(), text), "{secret} {text}");
        }
    }

    #[test]
    fn a_token_cannot_be_made_up() {
        let tokens = Tokens::random().unwrap();
        let token = tokens.of("a").expose_secret().to_owned();
        let (source, signature) = token.split_once('.').unwrap();
        let others = [
            String::new(),
            ".".to_owned(),
            source.to_owned(),
            format!("{source}."),
            format!("62.{signature}"),
            format!("{token}00"),
            format!("{source}.{}", "0".repeat(64)),
            format!("{source}.{}x", &signature[1..]),
            Tokens::random().unwrap().of("a").expose_secret().to_owned(),
            Tokens::derived(&"".into()).of("a").expose_secret().to_owned(),
        ];
        for other in others {
            assert_eq!(tokens.source(&other), None, "{other}");
        }
    }
}
