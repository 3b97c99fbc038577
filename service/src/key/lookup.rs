//! Whose a secret is that was found somewhere it should not be. Only the whole secret finds its key; every such question
//! that is answered is in the audit log.

use super::{
    secret,
    view::{self, Key},
};
use crate::{
    Ctx, Error, Result,
    token::{Token, TokenKind},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{KeyId, SecretId},
    key_secret, virtual_key,
};
use sea_orm::Condition;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use utoipa::ToSchema;

/// Secrets of one key that are compared: far more than rotations leave behind.
const MOST: u64 = 100_000;

/// A secret that was found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leak {
    /// The secret, whole.
    #[schema(example = "tk_…")]
    pub secret: String,
}

impl fmt::Debug for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// How a secret stands to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyMatch {
    /// It is the key's current secret.
    Current,
    /// It was rotated away and still works.
    Grace,
    /// It was rotated away and works no more.
    Ended,
}

/// The key that a secret belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyLookup {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// Which of its secrets it is.
    pub secret_id: SecretId,
    /// How that secret stands.
    #[serde(rename = "match")]
    pub matched: KeyMatch,
}

/// Finds the key that a secret belongs to. A revoked key is found, too, and a deleted one.
pub async fn lookup(ctx: &Ctx, leak: Leak) -> Result<KeyLookup> {
    let absent = || Error::NotFound("key");
    let token = Token::parse_kind(&leak.secret, TokenKind::VirtualKey).ok_or_else(absent)?;
    let id = KeyId::new(token.id());
    ctx.repository::<virtual_key::Entity>().with_archived().find(id).await?;
    let secrets = ctx.repository::<key_secret::Entity>().narrow(secret::of(id));
    let secrets = secrets.all(Condition::all(), MOST).await?;
    let is_it = |secret: &key_secret::Model| {
        ctx.system.secrets.matches(token.signed_part(), secret.pepper_version, &secret.digest.0)
    };
    let secret = secrets.into_iter().find(is_it).ok_or_else(absent)?;
    let mut unit = ctx.begin().await?;
    let matched = standing(&secret, unit.now);
    unit.audit("key.lookup", id, json!({ "secret": secret.id, "match": matched }));
    let found = KeyLookup { key: view::read(&unit, id).await?, secret_id: secret.id, matched };
    unit.commit(found).await
}

fn standing(secret: &key_secret::Model, now: DateTime<Utc>) -> KeyMatch {
    match secret.expires_at {
        None => KeyMatch::Current,
        Some(end) if end > now => KeyMatch::Grace,
        Some(_) => KeyMatch::Ended,
    }
}
