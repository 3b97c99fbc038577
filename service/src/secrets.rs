//! The configured secrets: encryption keys, peppers and signing keys, each in versions.

use crate::{Error, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{collections::BTreeMap, fmt};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// 32 secret bytes that cannot be printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key32([u8; 32]);

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Key32 {
    /// Wraps the bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// Copies the bytes, if there are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self([0; 32]);
        (bytes.len() == 32).then(|| {
            key.0.copy_from_slice(bytes);
            key
        })
    }
    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
    /// Base64, as configuration writes it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

/// Several versions of one secret; the active one is used for what is new.
#[derive(Debug, Clone)]
pub struct Versions {
    active: i32,
    keys: BTreeMap<i32, Key32>,
}

impl Versions {
    /// One key, as version 1.
    pub fn single(key: Key32) -> Self {
        Self { active: 1, keys: BTreeMap::from([(1, key)]) }
    }

    /// Parses `base64` (version 1) or `version:base64,…`, the first being active.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut versions = Self { active: 0, keys: BTreeMap::new() };
        for part in text.trim().split(',') {
            let (version, encoded) = match part.trim().split_once(':') {
                Some((number, rest)) => (
                    number.parse().map_err(|_| "what stands before the colon is not a version number")?,
                    rest,
                ),
                None => (1, part.trim()),
            };
            let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| "not base64".to_owned())?);
            let key =
                Key32::from_slice(&bytes).ok_or_else(|| format!("{} bytes instead of 32", bytes.len()))?;
            if version < 1 {
                return Err("versions count from 1".into());
            }
            if versions.keys.insert(version, key).is_some() {
                return Err(format!("version {version} is given twice"));
            }
            if versions.active == 0 {
                versions.active = version;
            }
        }
        Ok(versions)
    }

    /// The version for what is new, and its number.
    pub fn active(&self) -> (i32, &Key32) {
        // `active` always names a key: both constructors put it there.
        self.keys
            .get_key_value(&self.active)
            .map_or_else(|| unreachable!("active version"), |(v, key)| (*v, key))
    }

    /// One version.
    pub fn get(&self, version: i32) -> Option<&Key32> {
        self.keys.get(&version)
    }

    /// All versions, the active one first.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Key32)> {
        let rest = self.keys.iter().filter(|(v, _)| **v != self.active).map(|(v, key)| (*v, key));
        std::iter::once(self.active()).chain(rest)
    }
}

/// Everything secret that an instance is configured with.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Encrypts what must be read back.
    pub encryption: Versions,
    /// Keys the digests of tokens.
    pub pepper: Versions,
    /// Signs access tokens (Ed25519 seeds).
    pub signing: Versions,
}

/// HMAC-SHA-256.
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Secrets {
    /// The digest under which a token's secret is stored, and the pepper's version.
    pub fn digest(&self, signed_part: &str) -> (i32, [u8; 32]) {
        let (version, pepper) = self.pepper.active();
        (version, hmac(pepper.expose(), &[signed_part.as_bytes()]))
    }

    /// Whether a token's secret is the stored one, in constant time.
    pub fn matches(&self, signed_part: &str, pepper_version: i32, digest: &[u8]) -> bool {
        self.pepper
            .get(pepper_version)
            .is_some_and(|pepper| hmac(pepper.expose(), &[signed_part.as_bytes()]).ct_eq(digest).into())
    }

    /// Authenticates what goes out and comes back, such as cursors: 16 bytes.
    pub fn seal_of(&self, purpose: &[u8], parts: &[&[u8]]) -> Result<[u8; 16]> {
        let (_, key) = self.pepper.active();
        let mut derived = [0; 32];
        Hkdf::<Sha256>::new(None, key.expose()).expand(purpose, &mut derived).map_err(Error::internal)?;
        let tag = hmac(&derived, parts);
        let mut short = [0; 16];
        short.copy_from_slice(&tag[..16]);
        Ok(short)
    }
}
