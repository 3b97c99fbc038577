//! Replies of calls made with an Idempotency-Key, stored with their effect.

use crate::{id::DataKeyId, secret::Sealed};
use sea_orm::entity::prelude::*;

/// A row of `idempotency_record`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_record")]
pub struct Model {
    /// SHA-256 of principal and key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Vec<u8>,
    /// SHA-256 of method, path and body.
    pub fingerprint: Vec<u8>,
    /// The reply, sealed; none once its secret has died.
    pub reply: Option<Sealed>,
    /// The data key of the platform that the reply is sealed with.
    pub data_key_id: Option<DataKeyId>,
    /// What the reply carries a secret of.
    pub secret_of: Option<Uuid>,
    /// When the secret in the reply dies.
    pub secret_until: Option<DateTimeUtc>,
    /// When it was stored.
    pub created_at: DateTimeUtc,
    /// When it is forgotten.
    pub expires_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
