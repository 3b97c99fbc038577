//! The life of a credential after its adding. Active, draining and disabled ones turn into each other; a retired one stays
//! retired. What calls may still use is not retired from under them, except by deleting it: that is the emergency.

use super::{Credential, erased, of, view};
use crate::{
    Ctx, Error, Result, Unit,
    connection::{self, whole},
    repository::Expected,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    credential::{ActiveModel, Entity, Model},
    id::{ConnectionId, CredentialId},
    provider_connection, reservation,
    status::{CredentialState, ReservationState},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend,
    sea_query::{Expr, SimpleExpr},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// What to change of a credential; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialPatch {
    /// What people call it, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub label: Option<String>,
    /// Whether it is used. Only a draining or disabled one is retired, and that is for ever.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub state: Option<CredentialState>,
    /// Why it is in its state, at most 1024 characters; null = nobody says. A new state forgets the reason of the old one.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub reason: Option<Option<String>>,
}

impl CredentialPatch {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        if let Some(label) = &self.label {
            faults.name("/label", label);
        }
        connection::reason(self.reason.as_ref().and_then(Option::as_ref), &mut faults);
        faults.finish()
    }

    /// The changes to make; what is as it should be already is left alone.
    fn changes(self, current: &Model, now: DateTime<Utc>) -> ActiveModel {
        let mut changes = match self.state.filter(|state| *state != current.state) {
            None => ActiveModel::default(),
            Some(CredentialState::Retired) => ActiveModel { state_reason: Set(None), ..erased(now) },
            Some(state) => ActiveModel {
                state: Set(state),
                state_since: Set(now),
                state_reason: Set(None),
                ..Default::default()
            },
        };
        if let Some(label) = self.label {
            changes.label = Set(label);
        }
        if let Some(reason) = self.reason {
            changes.state_reason = Set(reason);
        }
        changes
    }
}

/// Changes a credential.
pub async fn update(
    ctx: &Ctx,
    (connection, id): (ConnectionId, CredentialId),
    version: Option<i64>,
    patch: CredentialPatch,
) -> Result<Credential> {
    ctx.repository::<provider_connection::Entity>().find(connection).await?;
    let current = ctx.repository::<Entity>().narrow(of(connection)).find(id).await?;
    let expected = Expected::new(version, current.version)?;
    patch.check()?;
    let mut unit = ctx.begin().await?;
    // The connection is held, so that it is not deleted meanwhile, and then the credential is locked.
    unit.read::<provider_connection::Entity>().hold(connection).await?;
    let current = unit.read::<Entity>().narrow(of(connection)).lock(id).await?;
    if current.version == version_of(expected) {
        leads(&unit, &current, patch.state).await?;
    }
    let changes = patch.changes(&current, unit.now);
    unit.repository::<Entity>().narrow(of(connection)).update(id, expected, changes).await?;
    let credential = view::read(&unit, id).await?;
    unit.commit(credential).await
}

fn version_of(expected: Expected) -> i64 {
    match expected {
        Expected::Stated(version) | Expected::Read(version) => version,
    }
}

/// Whether a credential may come into a state from the one it is in.
async fn leads(unit: &Unit<'_>, current: &Model, to: Option<CredentialState>) -> Result<()> {
    use CredentialState::{Active, Draining, Retired};
    let refused = |message: &'static str| Err(Error::InvalidState("invalid_state", message.into()));
    match (current.state, to) {
        (Retired, _) => refused("the credential is retired for ever"),
        (Active, Some(Retired)) => refused("the credential is active: drain it first, or disable it"),
        (Draining, Some(Retired)) => unused(unit, current).await,
        _ => Ok(()),
    }
}

/// Whether the calls that may use a draining credential are over: those of its connection that were authorized before it
/// began to drain, and are neither closed nor past their end. One that nobody ever tells of is past it, too.
async fn unused(unit: &Unit<'_>, credential: &Model) -> Result<()> {
    use reservation::Column;
    let open = Condition::all()
        .add(Column::State.eq(ReservationState::Held))
        .add(Column::ExpiresAt.gt(unit.now))
        .add(Column::CreatedAt.lte(credential.state_since))
        .add(names(unit, credential.connection_id));
    let whole = whole(unit.ctx);
    let count = unit.read_in::<reservation::Entity>(&whole).count(open).await?;
    if count > 0 { Err(Error::InUse { by: "calls", count }) } else { Ok(()) }
}

/// The calls that name a connection.
fn names(unit: &Unit<'_>, connection: ConnectionId) -> SimpleExpr {
    // Each database has placeholders of its own, too; with the other's, nothing would be bound and nothing found.
    let sql = match unit.tx.get_database_backend() {
        DatabaseBackend::Postgres => "(terms ->> 'n') = $1",
        _ => "json_extract(terms, '$.n') = ?",
    };
    Expr::cust_with_values(sql, [connection.to_string()])
}

/// Retires a credential at once, whatever uses it, and hides it.
pub async fn delete(
    ctx: &Ctx,
    (connection, id): (ConnectionId, CredentialId),
    version: Option<i64>,
) -> Result<()> {
    let mut unit = ctx.begin().await?;
    unit.read::<provider_connection::Entity>().hold(connection).await?;
    let current = unit.read::<Entity>().narrow(of(connection)).lock(id).await?;
    Expected::new(version, current.version)?;
    let changes = match current.state {
        CredentialState::Retired => ActiveModel::default(),
        _ => erased(unit.now),
    };
    let changes = ActiveModel { deleted_at: Set(Some(unit.now)), ..changes };
    unit.repository::<Entity>().narrow(of(connection)).force("delete", id, changes).await?;
    unit.commit(()).await
}
