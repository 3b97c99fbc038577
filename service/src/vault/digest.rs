//! What is told of a secret: a keyed digest, by which equal secrets of one organization are known, and its first and last
//! characters.

use crate::{Result, System, secrets::hmac};
use entity::id::OrganizationId;
use hkdf::Hkdf;
use sha2::Sha256;

/// Characters of a secret of which none is shown.
const SHORT: usize = 20;

/// The digest of a secret under the active pepper, and the pepper's version.
pub fn digest(system: &System, organization: OrganizationId, secret: &[u8]) -> Result<(i32, [u8; 32])> {
    let (version, pepper) = system.secrets.pepper.active();
    Ok((version, under(pepper.expose(), organization, secret)?))
}

/// The digests of a secret under every configured pepper: one of them is how it is stored, if it is.
pub fn digests(system: &System, organization: OrganizationId, secret: &[u8]) -> Result<Vec<Vec<u8>>> {
    let each = system.secrets.pepper.iter();
    each.map(|(_, pepper)| under(pepper.expose(), organization, secret).map(|digest| digest.to_vec()))
        .collect()
}

fn under(pepper: &[u8; 32], organization: OrganizationId, secret: &[u8]) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    let derived = Hkdf::<Sha256>::new(None, pepper).expand(b"tollkeeper credential digest", &mut key);
    derived.map_err(crate::Error::internal)?;
    Ok(hmac(&key, &[organization.0.as_bytes(), secret]))
}

/// What is shown of a secret: its first eight and last four characters, of a short one nothing.
pub fn display(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    if characters.len() < SHORT {
        return "*".repeat(8);
    }
    let (first, last) = (&characters[..8], &characters[characters.len() - 4..]);
    let of = |part: &[char]| part.iter().collect::<String>();
    format!("{}...{}", of(first), of(last))
}
