//! Finding keys: one by its id, and pages by what the keys have in common. Keys that were deleted are found by
//! their ids, and listed if one asks for them.

use super::{
    owner::Owner,
    view::{self, Key},
};
use crate::{
    Ctx, Error, Result,
    db::Pool,
    page::{Page, PageRequest},
    repository::Repository,
    validate::starts_with,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{KeyId, ServiceAccountId, TeamId, UserId},
    membership, service_account,
    status::KeyStatus,
    team,
    virtual_key::{Column, Entity},
};
use sea_orm::{
    ColumnTrait, Condition, DatabaseBackend,
    sea_query::{Expr, SimpleExpr, extension::postgres::PgExpr},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// A key is in exactly one of these states at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Neither stopped nor past its end; something around it may still block it.
    Active,
    /// Stopped by its administrators, and not past its end.
    Disabled,
    /// Past its end, and not revoked. The moment of its end is past.
    Expired,
    /// Revoked.
    Revoked,
}

impl KeyState {
    fn condition(self, now: DateTime<Utc>) -> Condition {
        let is = |status: KeyStatus| Condition::all().add(Column::Status.eq(status));
        let lasting = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now));
        match self {
            Self::Active => is(KeyStatus::Active).add(lasting),
            Self::Disabled => is(KeyStatus::Disabled).add(lasting),
            Self::Expired => {
                Condition::all().add(Column::Status.ne(KeyStatus::Revoked)).add(Column::ExpiresAt.lte(now))
            }
            Self::Revoked => is(KeyStatus::Revoked),
        }
    }
}

/// Which keys: those that meet everything that is given.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct KeyFilter {
    /// Only this team's.
    pub team_id: Option<TeamId>,
    /// Only this person's.
    pub user_id: Option<UserId>,
    /// Only this service account's.
    pub service_account_id: Option<ServiceAccountId>,
    /// Only those that were issued to this person.
    pub issued_to_user_id: Option<UserId>,
    /// Only those that this user or admin token made.
    pub created_by: Option<String>,
    /// Only those in this state now.
    #[param(inline)]
    pub status: Option<KeyState>,
    /// Only those with this label, `name:value`.
    pub tag: Option<String>,
    /// Only those whose name begins so.
    pub name_prefix: Option<String>,
    /// `true`: deleted keys, too.
    pub include_archived: Option<bool>,
}

/// How many keys there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyCount {
    /// Keys that meet the filter.
    #[schema(example = 42)]
    pub count: u64,
}

impl KeyFilter {
    /// The keys within reach that the filter is about.
    fn keys<'c>(&self, ctx: &'c Ctx) -> Repository<'c, Entity, Pool> {
        let keys = ctx.repository::<Entity>();
        if self.include_archived == Some(true) { keys.with_archived() } else { keys }
    }

    /// The filter as a condition. An owner that is not there, or not in reach, is not found.
    pub(super) async fn condition(&self, ctx: &Ctx, now: DateTime<Utc>) -> Result<Condition> {
        let owners = [
            self.team_id.map(Owner::Team),
            self.user_id.map(Owner::User),
            self.service_account_id.map(Owner::ServiceAccount),
        ];
        let mut condition = Condition::all()
            .add_option(self.issued_to_user_id.map(|user| Column::IssuedToUserId.eq(user)))
            .add_option(self.created_by.as_ref().map(|maker| Column::CreatedBy.eq(maker)))
            .add_option(self.status.map(|state| state.condition(now)))
            .add_option(self.name_prefix.as_ref().map(|prefix| starts_with(Column::Name, prefix)));
        if let Some(tag) = &self.tag {
            condition = condition.add(tagged(ctx.system.db.backend(), tag)?);
        }
        if let Some(user) = self.issued_to_user_id {
            self.known(ctx, Owner::User(user), Column::IssuedToUserId.eq(user)).await?;
        }
        for owner in owners.into_iter().flatten() {
            self.known(ctx, owner, owner.keys()).await?;
            condition = condition.add(owner.keys());
        }
        Ok(condition)
    }

    /// Whether a caller can know of an owner or a holder: it is in reach, or a key of its is.
    async fn known(&self, ctx: &Ctx, owner: Owner, its: SimpleExpr) -> Result<()> {
        let found = match owner {
            Owner::Team(id) => ctx.repository::<team::Entity>().find(id).await.map(drop),
            Owner::User(id) => ctx.repository::<membership::Entity>().find(id).await.map(drop),
            Owner::ServiceAccount(id) => ctx.repository::<service_account::Entity>().find(id).await.map(drop),
        };
        match found {
            Err(Error::NotFound(_)) if self.keys(ctx).first(its).await?.is_some() => Ok(()),
            found => found,
        }
    }
}

/// The key has this label.
fn tagged(backend: DatabaseBackend, tag: &str) -> Result<SimpleExpr> {
    let (name, value) = tag
        .split_once(':')
        .ok_or_else(|| Error::malformed("?tag", "invalid_parameter", "tag must be name:value"))?;
    Ok(if backend == DatabaseBackend::Postgres {
        Expr::col((Entity, Column::Tags)).contains(Expr::val(json!({ name: value })))
    } else {
        let each =
            r#"EXISTS (SELECT 1 FROM json_each("virtual_key"."tags") WHERE "key" = ? AND "value" = ?)"#;
        Expr::cust_with_values(each, [name, value])
    })
}

/// One page of the keys within reach.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: KeyFilter) -> Result<Page<Key>> {
    let now = ctx.now().await?;
    let condition = filter.condition(ctx, now).await?;
    let mut found = filter.keys(ctx).list(page, condition).await?;
    view::complete(ctx, &ctx.system.db.reader, now, &mut found.items).await?;
    Ok(found)
}

/// How many keys within reach meet a filter.
pub async fn count(ctx: &Ctx, filter: KeyFilter) -> Result<KeyCount> {
    let now = ctx.now().await?;
    let condition = filter.condition(ctx, now).await?;
    Ok(KeyCount { count: filter.keys(ctx).count(condition).await? })
}

/// One key, also one that was deleted.
pub async fn get(ctx: &Ctx, id: KeyId) -> Result<Key> {
    let mut keys = [ctx.repository::<Entity>().with_archived().view::<Key>(id).await?];
    view::complete(ctx, &ctx.system.db.reader, ctx.now().await?, &mut keys).await?;
    let [key] = keys;
    Ok(key)
}
