//! The format of every secret that Tollkeeper issues: `<kind>_<22: public id>_<43: 256-bit secret>_<6: CRC32>`,
//! base62, most significant digit first. The checksum tells a typo from an unknown token without any I/O.
//!
//! Regular expression for secret scanners:
//! `\btk[adgirp]?_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\b`.

use crate::{System, secrets::hmac};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The regular expression that finds tokens of every kind, for secret scanners.
pub const SCAN_PATTERN: &str = r"\btk[adgirp]?_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\b";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LEN: usize = 22;
const SECRET_LEN: usize = 43;
const CRC_LEN: usize = 6;

/// What a token opens. The kinds are disjoint: a token of one never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Inference decisions.
    VirtualKey,
    /// The admin API.
    Admin,
    /// Asking for decisions.
    Gateway,
    /// Continuing a session.
    Refresh,
    /// Being known at the next sign-in.
    Device,
    /// Accepting an invitation.
    Invitation,
    /// Resetting a password.
    PasswordReset,
}

impl TokenKind {
    const ALL: [Self; 7] = [
        Self::VirtualKey,
        Self::Admin,
        Self::Gateway,
        Self::Refresh,
        Self::Device,
        Self::Invitation,
        Self::PasswordReset,
    ];

    /// The text before the first underscore.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::VirtualKey => "tk",
            Self::Admin => "tka",
            Self::Gateway => "tkg",
            Self::Refresh => "tkr",
            Self::Device => "tkd",
            Self::Invitation => "tki",
            Self::PasswordReset => "tkp",
        }
    }
}

/// A whole token in clear. It cannot be printed, and its memory is wiped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Token {
    text: String,
    #[zeroize(skip)]
    kind: TokenKind,
    #[zeroize(skip)]
    id: Uuid,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_[secret]", self.kind.prefix())
    }
}

/// The text of a token in the one reply that shows it. It is serialized and nothing else: it cannot be printed, and its
/// memory is wiped.
#[derive(Clone, Serialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
#[schema(value_type = String, example = "tk_…")]
pub struct Shown(String);

impl From<&Token> for Shown {
    fn from(token: &Token) -> Self {
        Self(token.text.clone())
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The text of a token as a request brings it. It cannot be printed or sent back, and its memory is wiped.
#[derive(Clone, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
#[schema(value_type = String, format = Password, max_length = 128, example = "tkr_…")]
pub struct Presented(String);

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Presented {
    /// The token of this kind that it is; none if its form or its checksum is wrong. No I/O.
    pub fn token(&self, kind: TokenKind) -> Option<Token> {
        Token::parse_kind(&self.0, kind)
    }
}

/// A freshly made token, with what is stored of it.
#[derive(Debug)]
pub struct Minted {
    /// The token, to be shown once.
    pub token: Token,
    /// Its digest.
    pub digest: entity::secret::Sealed,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The last four characters of the secret part.
    pub last4: String,
}

/// The part of a token before its secret, which is no secret: the kind, and the id of the row it belongs to.
pub fn public_part(kind: TokenKind, id: Uuid) -> String {
    format!("{}_{}", kind.prefix(), encode::<ID_LEN>(id.as_bytes()))
}

/// Makes a token for the row with this id.
pub fn mint(system: &System, kind: TokenKind, id: Uuid) -> Minted {
    Token::assemble(kind, id, &system.entropy.bytes::<32>()).minted(system)
}

/// The refresh token with this id that follows another. Its secret is derived and not drawn, so that asking twice with
/// one token (a reply was lost, two tabs asked at once) gives one successor, and a session cannot fork. None if
/// the pepper is no longer configured.
pub(crate) fn successor(system: &System, before: &Token, id: Uuid, pepper_version: i32) -> Option<Token> {
    let pepper = system.secrets.pepper.get(pepper_version)?;
    let secret = hmac(pepper.expose(), &[b"successor", id.as_bytes(), before.signed_part().as_bytes()]);
    Some(Token::assemble(before.kind, id, &secret))
}

impl Token {
    /// The token with this secret for the row with this id.
    pub fn assemble(kind: TokenKind, id: Uuid, secret: &[u8; 32]) -> Self {
        let signed = format!("{}_{}", public_part(kind, id), encode::<SECRET_LEN>(secret));
        let text = format!("{signed}_{}", checksum(&signed));
        Self { text, kind, id }
    }

    /// The token with what is stored of it.
    pub(crate) fn minted(self, system: &System) -> Minted {
        let (pepper_version, digest) = system.secrets.digest(self.signed_part());
        let last4 = self.secret_end().to_owned();
        Minted { digest: entity::secret::Sealed(digest.to_vec()), pepper_version, last4, token: self }
    }

    /// Reads a token; none if its form or its checksum is wrong. No I/O.
    pub fn parse(text: &str) -> Option<Self> {
        let (signed, crc) = text.rsplit_once('_')?;
        let mut parts = signed.split('_');
        let (prefix, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = TokenKind::ALL.into_iter().find(|kind| kind.prefix() == prefix)?;
        let well_formed = parts.next().is_none() && id.len() == ID_LEN && secret.len() == SECRET_LEN;
        if !well_formed || crc.len() != CRC_LEN || checksum(signed) != crc {
            return None;
        }
        decode::<32>(secret)?;
        Some(Self { text: text.to_owned(), kind, id: Uuid::from_bytes(decode::<16>(id)?) })
    }

    /// Reads a token of one kind.
    pub fn parse_kind(text: &str, kind: TokenKind) -> Option<Self> {
        Self::parse(text).filter(|token| token.kind == kind)
    }

    /// What it opens.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The id of the row it belongs to.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The whole text, for the one reply that shows it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The part that is digested: all but the checksum.
    pub fn signed_part(&self) -> &str {
        self.text.rsplit_once('_').map_or("", |(signed, _)| signed)
    }

    /// The last characters of the secret, by which people tell tokens apart.
    fn secret_end(&self) -> &str {
        let signed = self.signed_part();
        signed.get(signed.len().saturating_sub(4)..).unwrap_or_default()
    }
}

fn checksum(signed: &str) -> String {
    encode::<CRC_LEN>(&crc32fast::hash(signed.as_bytes()).to_be_bytes())
}

/// Big-endian base62 of fixed width: repeated division of the number by 62.
fn encode<const LEN: usize>(bytes: &[u8]) -> String {
    let mut number = bytes.to_vec();
    let mut digits = [b'0'; LEN];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            // value < 62 × 256, so the quotient fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    number.zeroize();
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// The number behind base62 text; none if a character is foreign or the number does not fit.
fn decode<const LEN: usize>(text: &str) -> Option<[u8; LEN]> {
    let mut number = [0u8; LEN];
    for character in text.bytes() {
        let digit = ALPHABET.iter().position(|a| *a == character)?;
        let mut carry = u32::try_from(digit).ok()?;
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}
