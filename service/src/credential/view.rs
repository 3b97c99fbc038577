//! What is shown of a credential: never its secret.

use crate::{Result, Unit, activity, repository::View};
use chrono::{DateTime, Utc};
use entity::{
    credential::Entity,
    id::{ConnectionId, CredentialId},
    status::CredentialState,
};
use sea_orm::{ConnectionTrait, DerivePartialModel, DeriveValueType};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, fmt::Write};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};
use uuid::Uuid;

/// A keyed digest of a secret, in hexadecimal: equal secrets of one organization have equal ones, and without the
/// installation's pepper it tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, DeriveValueType)]
pub struct Digest(Vec<u8>);

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}
impl PartialSchema for Digest {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Equal secrets of one organization have equal ones."))
            .pattern(Some("^[0-9a-f]{64}$"))
            .examples([serde_json::json!("0123456789abcdef".repeat(4))])
            .into()
    }
}
impl ToSchema for Digest {
    fn name() -> Cow<'static, str> {
        "SecretDigest".into()
    }
}

/// What is shown of one secret of a connection.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The connection it opens.
    pub connection_id: ConnectionId,
    /// What people call it.
    #[schema(example = "API key 1")]
    pub label: String,
    /// Whether it is used.
    pub state: CredentialState,
    /// Why it is in its state, if somebody said.
    #[schema(required)]
    pub state_reason: Option<String>,
    /// Since when it is in its state.
    pub state_since: DateTime<Utc>,
    /// The first eight and the last four characters of the secret; of a short one nothing.
    #[schema(example = "sk-proj-...x7Qd")]
    pub display: String,
    /// By which equal secrets are known.
    pub digest: Digest,
    /// When it was last used, to about a minute; null = never.
    #[schema(required)]
    #[sea_orm(skip)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Who made it: the id of a user or of an admin token.
    #[schema(example = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub created_by: String,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(CredentialPage, Credential);

impl View for Credential {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// One credential as a unit has left it.
pub(super) async fn read(unit: &Unit<'_>, id: CredentialId) -> Result<Credential> {
    let mut credentials = [unit.read::<Entity>().view::<Credential>(id).await?];
    complete(&unit.tx, &mut credentials).await?;
    let [credential] = credentials;
    Ok(credential)
}

/// Puts to the rows of credentials when they were last used.
pub(super) async fn complete<C: ConnectionTrait>(db: &C, credentials: &mut [Credential]) -> Result<()> {
    let ids = credentials.iter().map(|credential| credential.id.uuid()).collect();
    let used = activity::last_used(db, ids).await?;
    for credential in credentials {
        credential.last_used_at = used.get(&credential.id.uuid()).copied();
    }
    Ok(())
}
