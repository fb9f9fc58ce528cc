//! The keys that secrets are sealed with: AES-256-GCM under keys that HKDF derives.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

const SALT: usize = 32;

/// Keys by their ids. The first seals; the others open what was sealed before.
#[derive(Debug)]
pub struct Keys(Vec<(String, SecretBox<[u8; 32]>)>);

/// A key is invalid or missing, or a secret was not sealed with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The text is not a list of keys.
    #[error(
        "expected keys as ID:BASE64, separated by commas, where BASE64 stands for 32 random bytes \
         (openssl rand -base64 32): {0}"
    )]
    Invalid(&'static str),
    /// A secret was sealed with a key that is not among them.
    #[error("the secret {secret} was sealed with the key {id:?}, which is not among the keys")]
    Missing {
        /// The id of the key.
        id: String,
        /// The identity and the name of the secret.
        secret: String,
    },
    /// The key does not open the secret.
    #[error("the secret {secret} cannot be opened with the key {id:?}: it was changed, or the key")]
    Sealed {
        /// The id of the key.
        id: String,
        /// The identity and the name of the secret.
        secret: String,
    },
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandom,
}

impl Keys {
    /// Reads keys, written as `ID:BASE64` and separated by commas or line breaks.
    ///
    /// # Errors
    ///
    /// The text is not such a list, or has an id twice.
    pub fn parse(text: &SecretString) -> Result<Self, KeysError> {
        let mut keys: Vec<(String, SecretBox<[u8; 32]>)> = Vec::new();
        let entries = text.expose_secret().split([',', '\n']).map(str::trim);
        for entry in entries.filter(|it| !it.is_empty()) {
            let (id, key) = entry.split_once(':').ok_or(KeysError::Invalid("a key has no id"))?;
            if id.is_empty() || keys.iter().any(|(it, _)| it == id) {
                return Err(KeysError::Invalid("an id is empty, or there twice"));
            }
            let key = STANDARD
                .decode(key)
                .map_err(|_| KeysError::Invalid("a key is not written in Base64"))?;
            let key = <[u8; 32]>::try_from(key)
                .map_err(|_| KeysError::Invalid("a key does not have 32 bytes"))?;
            keys.push((id.to_owned(), SecretBox::new(Box::new(key))));
        }
        if keys.is_empty() {
            return Err(KeysError::Invalid("there is none"));
        }
        Ok(Self(keys))
    }

    /// A new key with an id, written as [`parse`](Self::parse) reads it.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn generate(id: &str) -> Result<SecretString, KeysError> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| KeysError::NoRandom)?;
        Ok(format!("{id}:{}", STANDARD.encode(key)).into())
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn current(&self) -> &str {
        self.0.first().map_or("", |it| it.0.as_str())
    }

    /// Whether the key with this id is among them.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|(it, _)| it == id)
    }

    /// Seals a secret with the current key: the salt, then the encrypted value with its tag.
    pub(super) fn seal(
        &self,
        identity: &str,
        name: &str,
        value: &SecretString,
    ) -> Result<Vec<u8>, KeysError> {
        let mut sealed = vec![0; SALT];
        SystemRandom::new().fill(&mut sealed).map_err(|_| KeysError::NoRandom)?;
        let id = self.current();
        let failed = || KeysError::Sealed { id: id.to_owned(), secret: label(identity, name) };
        let key = self.derive(id, &sealed).ok_or_else(failed)?;
        let mut text = value.expose_secret().as_bytes().to_vec();
        // The key is used once, so any nonce will do.
        let tag = key
            .seal_in_place_separate_tag(zero(), associated(id, identity, name), &mut text)
            .map_err(|_| failed())?;
        sealed.append(&mut text);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a secret that was sealed with the key `id`.
    pub(super) fn open(
        &self,
        id: &str,
        identity: &str,
        name: &str,
        sealed: &[u8],
    ) -> Result<SecretString, KeysError> {
        let failed = || KeysError::Sealed { id: id.to_owned(), secret: label(identity, name) };
        if !self.contains(id) {
            return Err(KeysError::Missing { id: id.to_owned(), secret: label(identity, name) });
        }
        let (salt, sealed) = sealed.split_at_checked(SALT).ok_or_else(failed)?;
        let key = self.derive(id, salt).ok_or_else(failed)?;
        let mut sealed = sealed.to_vec();
        let text = key
            .open_in_place(zero(), associated(id, identity, name), &mut sealed)
            .map_err(|_| failed())?;
        let text = std::str::from_utf8(text).map_err(|_| failed())?;
        Ok(text.to_owned().into())
    }

    fn derive(&self, id: &str, salt: &[u8]) -> Option<LessSafeKey> {
        let (_, key) = self.0.iter().find(|(it, _)| it == id)?;
        let prk: Prk = Salt::new(HKDF_SHA256, salt).extract(key.expose_secret());
        let derived = prk.expand(&[b"flagops secret"], &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

fn zero() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// What is authenticated with a secret. No part contains the separator.
fn associated(id: &str, identity: &str, name: &str) -> Aad<Vec<u8>> {
    Aad::from([id, identity, name].join("\0").into_bytes())
}

fn label(identity: &str, name: &str) -> String {
    format!("{identity}/{name}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn keys(ids: &[&str]) -> Keys {
        let keys: Vec<_> = ids
            .iter()
            .map(|id| format!("{id}:{}", STANDARD.encode([id.as_bytes()[0]; 32])))
            .collect();
        Keys::parse(&keys.join(",").into()).unwrap()
    }

    #[test]
    fn a_secret_opens_only_under_its_own_name_and_key() {
        let old = keys(&["a"]);
        let sealed = old.seal("acme", "password", &"hunter2".to_owned().into()).unwrap();
        assert!(!sealed.windows(7).any(|it| it == b"hunter2"));
        let opened = old.open("a", "acme", "password", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2");

        let rotated = keys(&["b", "a"]);
        assert_eq!(rotated.current(), "b");
        assert!(rotated.open("a", "acme", "password", &sealed).is_ok());
        let missing = keys(&["b"]).open("a", "acme", "password", &sealed);
        assert!(matches!(missing, Err(KeysError::Missing { .. })));
        for (id, identity, name) in
            [("b", "acme", "password"), ("a", "other", "password"), ("a", "acme", "user")]
        {
            let error = rotated.open(id, identity, name, &sealed).unwrap_err();
            assert!(matches!(error, KeysError::Sealed { .. }), "{id} {identity} {name}");
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(old.open("a", "acme", "password", &changed).is_err(), "byte {position}");
        }
        assert!(old.open("a", "acme", "password", &sealed[..10]).is_err());
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let keys = keys(&["a"]);
        let seal = || keys.seal("acme", "password", &"x".to_owned().into()).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn keys_are_32_bytes_with_ids_that_differ() {
        let good = STANDARD.encode([1; 32]);
        for bad in [
            String::new(),
            good.clone(),
            format!(":{good}"),
            format!("a:{good},a:{good}"),
            "a:x".to_owned(),
            format!("a:{}", STANDARD.encode([1; 16])),
        ] {
            let error = Keys::parse(&bad.clone().into()).unwrap_err();
            assert!(!error.to_string().contains(&good), "{error}");
        }
        let generated = Keys::generate("2026").unwrap();
        assert_eq!(Keys::parse(&generated).unwrap().current(), "2026");
        assert!(!format!("{:?}", Keys::parse(&generated).unwrap()).contains("[1"));
    }
}
