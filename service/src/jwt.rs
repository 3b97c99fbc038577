//! Access tokens: short EdDSA JWTs. One algorithm, one audience; the key is chosen by a `kid` that must be ours.

use crate::{Error, Result, secrets::Versions};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use entity::id::{SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use utoipa::ToSchema;

/// How long an access token lives.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// What its `typ` says, so that no other JWT passes for one.
const TYPE: &str = "at+jwt";
/// How far what instances take for the time of the database may differ: it is their own clock, corrected now and then.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// What an access token says of its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Who signed in.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// The account's session version then: a later one ends the token.
    pub session_version: i64,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    ver: i64,
    iat: i64,
    nbf: i64,
    exp: i64,
}

struct Key {
    kid: String,
    x: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// Makes and checks access tokens.
pub struct Issuer {
    issuer: String,
    keys: Vec<Key>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.issuer)
    }
}

/// One public key of the key set.
#[derive(Debug, Serialize, ToSchema)]
pub struct Jwk {
    /// Key type.
    #[schema(example = "OKP")]
    pub kty: &'static str,
    /// Curve.
    #[schema(example = "Ed25519")]
    pub crv: &'static str,
    /// Algorithm.
    #[schema(example = "EdDSA")]
    pub alg: &'static str,
    /// Use.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    pub usage: &'static str,
    /// Key id: the beginning of the key's SHA-256.
    pub kid: String,
    /// The public key, base64url.
    pub x: String,
}

/// The public keys of access tokens (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkSet {
    /// The keys; the first signs, the others may still verify.
    pub keys: Vec<Jwk>,
}

impl Issuer {
    /// An issuer with these signing keys; the active one signs.
    pub fn new(signing: &Versions, public_url: &str) -> Result<Self> {
        let keys = signing.iter().map(|(_, seed)| key(seed.expose())).collect::<Result<Vec<_>>>()?;
        Ok(Self { issuer: public_url.to_owned(), keys })
    }

    /// A token for these claims.
    pub fn sign(&self, claims: Claims, now: DateTime<Utc>) -> Result<String> {
        let key = self.keys.first().ok_or_else(|| Error::internal("no signing key"))?;
        let header =
            Header { typ: Some(TYPE.into()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let wire = Wire {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: claims.user,
            sid: claims.session,
            ver: claims.session_version,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + LIFETIME).timestamp(),
        };
        jsonwebtoken::encode(&header, &wire, &key.encoding).map_err(Error::internal)
    }

    /// The claims of a token, if it is ours and its time has come and not gone.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims> {
        let refused = || Error::Unauthenticated("token_invalid", "the access token is not valid");
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        let key = self.keys.iter().find(|key| Some(&key.kid) == header.kid.as_ref()).ok_or_else(refused)?;
        // Where a token says its key may be found is nothing we follow; ours never say it.
        let elsewhere =
            header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
        if elsewhere || header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(refused());
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[&self.issuer]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // The times are checked below, against the clock that tests can fix.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let wire =
            jsonwebtoken::decode::<Wire>(token, &key.decoding, &validation).map_err(|_| refused())?.claims;
        if wire.exp <= (now - LEEWAY).timestamp() {
            return Err(Error::Unauthenticated("token_expired", "the access token has expired"));
        }
        if wire.nbf > (now + LEEWAY).timestamp() {
            return Err(refused());
        }
        Ok(Claims { user: wire.sub, session: wire.sid, session_version: wire.ver })
    }

    /// The public keys.
    pub fn jwks(&self) -> JwkSet {
        let public = |key: &Key| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: key.kid.clone(),
            x: key.x.clone(),
        };
        JwkSet { keys: self.keys.iter().map(public).collect() }
    }
}

fn key(seed: &[u8; 32]) -> Result<Key> {
    let signing = SigningKey::from_bytes(seed);
    let public = signing.verifying_key();
    let document = signing.to_pkcs8_der().map_err(Error::internal)?;
    Ok(Key {
        kid: URL_SAFE_NO_PAD.encode(&Sha256::digest(public.as_bytes())[..9]),
        x: URL_SAFE_NO_PAD.encode(public.as_bytes()),
        encoding: EncodingKey::from_ed_der(document.as_bytes()),
        decoding: DecodingKey::from_ed_der(public.as_bytes()),
    })
}
