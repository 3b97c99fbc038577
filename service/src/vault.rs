//! Sealing of what must be read back: XChaCha20-Poly1305, bound to its place by the associated data.

use crate::{Error, Result, System};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use entity::secret::Sealed;

/// Seals `plain` for `place`: version (4 bytes), nonce (24 bytes), ciphertext.
pub fn seal(system: &System, place: &[u8], plain: &[u8]) -> Result<Sealed> {
    let (version, key) = system.secrets.encryption.active();
    let nonce = system.entropy.bytes::<24>();
    let text = XChaCha20Poly1305::new(key.expose().into())
        .encrypt(&nonce.into(), Payload { msg: plain, aad: place })
        .map_err(Error::internal)?;
    Ok(Sealed([&version.to_be_bytes()[..], &nonce, &text].concat()))
}

/// Opens what was sealed for the same place.
pub fn open(system: &System, place: &[u8], sealed: &Sealed) -> Result<Vec<u8>> {
    let broken = || Error::internal("a sealed value does not open");
    let (version, rest) = sealed.0.split_first_chunk::<4>().ok_or_else(broken)?;
    let (nonce, text) = rest.split_first_chunk::<24>().ok_or_else(broken)?;
    let key = system.secrets.encryption.get(i32::from_be_bytes(*version)).ok_or_else(broken)?;
    XChaCha20Poly1305::new(key.expose().into())
        .decrypt(nonce.into(), Payload { msg: text, aad: place })
        .map_err(|_| broken())
}
