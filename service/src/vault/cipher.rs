//! XChaCha20-Poly1305 with a nonce in front: a version byte, 24 bytes, ciphertext and tag.

use crate::{Error, Result, secrets::Key32};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use entity::secret::Sealed;
use zeroize::Zeroizing;

/// What everything sealed begins with.
const VERSION: u8 = 1;

/// Parts, each behind its length.
pub(super) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let frame = |part: &&[u8]| [&(part.len() as u64).to_be_bytes()[..], part].concat();
    parts.iter().flat_map(frame).collect()
}

pub(super) fn seal(key: &Key32, nonce: [u8; 24], place: &[u8], plain: &[u8]) -> Result<Sealed> {
    let text = XChaCha20Poly1305::new(key.expose().into())
        .encrypt(&nonce.into(), Payload { msg: plain, aad: place })
        .map_err(Error::internal)?;
    Ok(Sealed([&[VERSION][..], &nonce, &text].concat()))
}

/// What was sealed with this key for this place; nothing if it was not.
pub(super) fn open(key: &Key32, place: &[u8], sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
    let (version, rest) = sealed.0.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (nonce, text) = rest.split_first_chunk::<24>()?;
    let plain =
        XChaCha20Poly1305::new(key.expose().into()).decrypt(nonce.into(), Payload { msg: text, aad: place });
    plain.ok().map(Zeroizing::new)
}
