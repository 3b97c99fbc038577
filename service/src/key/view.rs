//! What is shown of a key: its row, and beside it what other tables know, put together here and nowhere else. A page of
//! keys costs the same number of queries as one key.

use super::secret;
use crate::{
    Ctx, Error, Result, Unit, activity,
    limit::{self, Limit},
    repository::{Repository, View},
    scope::Scope,
    token::{Shown, Token, TokenKind, public_part},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{InvitationId, KeyId, SecretId, ServiceAccountId, TeamId, UserId},
    json::{Metadata, Tags, Texts},
    key_secret, membership, organization, service_account,
    status::{KeyStatus, Standing},
    team, user_account,
    virtual_key::Entity,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DerivePartialModel};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a program may call, and for whom.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Shown name; need not be unique.
    #[schema(example = "checkout-prod")]
    pub name: String,
    /// The owning team; exactly one of the three owners is set.
    #[schema(required)]
    pub team_id: Option<TeamId>,
    /// The owning person.
    #[schema(required)]
    pub user_id: Option<UserId>,
    /// The owning service account.
    #[schema(required)]
    pub service_account_id: Option<ServiceAccountId>,
    /// The member of the team whom it was issued to.
    #[schema(required)]
    pub issued_to_user_id: Option<UserId>,
    /// The invitation that it was issued to, until that is accepted.
    #[schema(required)]
    pub issued_to_invitation_id: Option<InvitationId>,
    #[serde(skip)]
    holder_left_at: Option<DateTime<Utc>>,
    /// Who made it: the id of a user or of an admin token.
    #[schema(example = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub created_by: String,
    /// What its administrators decided.
    pub status: KeyStatus,
    /// What a decision would find now, everything considered.
    #[sea_orm(skip)]
    pub effective_status: EffectiveStatus,
    /// What around the key stops it, whatever its own status.
    #[sea_orm(skip)]
    pub blocked_by: Vec<Blocker>,
    /// Globs of models it may call; null = no restriction, [] = none.
    #[schema(required)]
    pub allowed_models: Option<Texts>,
    /// Globs of models it may not call, whatever else allows them.
    #[schema(required)]
    pub denied_models: Option<Texts>,
    /// Kinds of call it may make; null = every kind.
    #[schema(required)]
    pub scopes: Option<Texts>,
    /// Networks it may be used from; null = anywhere.
    #[schema(required)]
    pub allowed_cidrs: Option<Texts>,
    /// Refused from this moment on; null = never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// Labels.
    pub tags: Tags,
    /// The owner's own JSON.
    pub metadata: Metadata,
    /// The secrets that open it, oldest first: the current one, and before it one in the grace of a rotation.
    #[sea_orm(skip)]
    pub secrets: Vec<KeySecret>,
    /// When it was last let through, to about a minute; null = never.
    #[schema(required)]
    #[sea_orm(skip)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    #[schema(required)]
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was deleted; it stays readable, and nothing changes it any more.
    #[schema(required)]
    pub archived_at: Option<DateTime<Utc>>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(KeyPage, Key);

impl View for Key {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// What is shown of one secret of a key.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "key_secret::Entity")]
pub struct KeySecret {
    /// Its id.
    pub id: SecretId,
    /// The key it opens.
    pub key_id: KeyId,
    /// How it begins: what comes before the secret part.
    #[schema(example = "tk_03bnXmLk2Vt5pIw4hXGz7y")]
    #[sea_orm(skip)]
    pub prefix: String,
    /// The last four characters of the secret part.
    #[schema(example = "x7Qd")]
    pub last4: String,
    /// Who has seen it: the id of the user or admin token that made it.
    #[schema(example = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The end of its grace; null while it is the current one.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last let through, to about a minute; null = never.
    #[schema(required)]
    #[sea_orm(skip)]
    pub last_used_at: Option<DateTime<Utc>>,
}
crate::page!(KeySecretPage, KeySecret);

impl View for KeySecret {
    type Entity = key_secret::Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// A key with its new secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// The secret to give to the program.
    pub secret: Shown,
    /// The limits on the key itself, oldest first.
    pub limits: Vec<Limit>,
}

/// What a decision would find: the first that holds of revoked, expired, disabled, blocked, active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectiveStatus {
    /// It works.
    #[default]
    Active,
    /// Its administrators stopped it.
    Disabled,
    /// Its time is over.
    Expired,
    /// Stopped for ever.
    Revoked,
    /// Something around it stops it; see `blocked_by`.
    Blocked,
}

/// What around a key stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blocker {
    /// The organization is suspended.
    OrganizationSuspended,
    /// The owning team is suspended.
    TeamSuspended,
    /// The owning person, or the one whom it was issued to, is suspended in this organization.
    MembershipSuspended,
    /// The account of the owning person, or of the one whom it was issued to, is suspended.
    UserSuspended,
    /// The owning service account is suspended.
    ServiceAccountSuspended,
    /// The owner was deleted, or left the organization.
    OwnerGone,
    /// The person whom the team's key was issued to left the team, or the invitation was withdrawn. It stays so, also if
    /// the person comes back, until the key is handed to its team again.
    HolderLeft,
}

/// One key as a unit has left it, or as it was when it was deleted.
pub(super) async fn read(unit: &Unit<'_>, id: KeyId) -> Result<Key> {
    let mut keys = [unit.read::<Entity>().with_archived().view::<Key>(id).await?];
    complete(unit.ctx, &unit.tx, unit.now, &mut keys).await?;
    let [key] = keys;
    Ok(key)
}

/// The same, with a new secret.
pub(super) async fn issued(unit: &Unit<'_>, id: KeyId, token: &Token) -> Result<IssuedKey> {
    let limits = limit::of_key(unit, id).await?;
    Ok(IssuedKey { key: read(unit, id).await?, secret: token.into(), limits })
}

/// Puts to the rows of keys what other tables know of them.
pub(super) async fn complete<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    now: DateTime<Utc>,
    keys: &mut [Key],
) -> Result<()> {
    let surroundings = Surroundings::read(ctx, db, keys).await?;
    let mut used = activity::keys_last_used(db, keys.iter().map(|key| key.id)).await?;
    let mut secrets = live_secrets(ctx, db, now, keys).await?;
    for key in keys {
        key.blocked_by = surroundings.blockers(key, now)?;
        key.effective_status = effective(key, now);
        key.last_used_at = used.remove(&key.id);
        key.secrets = secrets.remove(&key.id).unwrap_or_default();
    }
    Ok(())
}

/// Puts to the rows of secrets what other tables know of them.
pub(super) async fn complete_secrets<C: ConnectionTrait>(db: &C, secrets: &mut [KeySecret]) -> Result<()> {
    let used = activity::last_used(db, secrets.iter().map(|secret| secret.id.uuid()).collect()).await?;
    for secret in secrets {
        secret.prefix = public_part(TokenKind::VirtualKey, secret.key_id.uuid());
        secret.last_used_at = used.get(&secret.id.uuid()).copied();
    }
    Ok(())
}

async fn live_secrets<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    now: DateTime<Utc>,
    keys: &[Key],
) -> Result<HashMap<KeyId, Vec<KeySecret>>> {
    let of_keys = key_secret::Column::KeyId.is_in(keys.iter().map(|key| key.id));
    let secrets = Repository::<key_secret::Entity, C>::new(db, ctx).narrow(of_keys);
    let mut secrets: Vec<KeySecret> = secrets.views(secret::live(now)).await?;
    complete_secrets(db, &mut secrets).await?;
    let mut by_key: HashMap<KeyId, Vec<KeySecret>> = HashMap::new();
    for secret in secrets {
        by_key.entry(secret.key_id).or_default().push(secret);
    }
    Ok(by_key)
}

fn effective(key: &Key, now: DateTime<Utc>) -> EffectiveStatus {
    match key.status {
        KeyStatus::Revoked => EffectiveStatus::Revoked,
        _ if key.expires_at.is_some_and(|end| end <= now) => EffectiveStatus::Expired,
        KeyStatus::Disabled => EffectiveStatus::Disabled,
        KeyStatus::Active if !key.blocked_by.is_empty() => EffectiveStatus::Blocked,
        KeyStatus::Active => EffectiveStatus::Active,
    }
}

/// How everything stands that keys depend on. A key that is in reach tells of its owner, whether or not the owner is.
struct Surroundings {
    organization: Standing,
    teams: HashMap<Uuid, Standing>,
    members: HashMap<Uuid, Standing>,
    users: HashMap<Uuid, Standing>,
    service_accounts: HashMap<Uuid, Standing>,
}

impl Surroundings {
    async fn read<C: ConnectionTrait>(ctx: &Ctx, db: &C, keys: &[Key]) -> Result<Self> {
        let whole = ctx.within(Scope::all(ctx.scope.organization));
        let platform = ctx.within(Scope::platform());
        let organization = Repository::<organization::Entity, C>::new(db, &whole);
        let teams = Repository::<team::Entity, C>::new(db, &whole);
        let members = Repository::<membership::Entity, C>::new(db, &whole);
        let users = Repository::<user_account::Entity, C>::new(db, &platform);
        let accounts = Repository::<service_account::Entity, C>::new(db, &whole);
        let of_teams = team::Column::Id.is_in(keys.iter().filter_map(|key| key.team_id));
        let people = || keys.iter().flat_map(|key| [key.user_id, key.issued_to_user_id]).flatten();
        let of_people = membership::Column::UserId.is_in(people());
        let of_users = user_account::Column::Id.is_in(people());
        let of_accounts =
            service_account::Column::Id.is_in(keys.iter().filter_map(|key| key.service_account_id));
        let of_organization = organization::Column::Id.eq(ctx.scope.organization);
        let organization = organization.column(of_organization, organization::Column::Status).await?;
        Ok(Self {
            organization: organization.first().map_or(Standing::Deleted, |(_, standing)| *standing),
            teams: teams.column(of_teams, team::Column::Status).await?.into_iter().collect(),
            members: members.column(of_people, membership::Column::Status).await?.into_iter().collect(),
            users: users.column(of_users, user_account::Column::Status).await?.into_iter().collect(),
            service_accounts: accounts
                .column(of_accounts, service_account::Column::Status)
                .await?
                .into_iter()
                .collect(),
        })
    }

    fn blockers(&self, key: &Key, now: DateTime<Utc>) -> Result<Vec<Blocker>> {
        let organization = (Some(&self.organization), Blocker::OrganizationSuspended);
        let mut around = vec![organization];
        match (key.team_id, key.user_id, key.service_account_id) {
            (Some(id), ..) => around.push((self.teams.get(&id.uuid()), Blocker::TeamSuspended)),
            (_, Some(id), _) => {
                around.push((self.members.get(&id.uuid()), Blocker::MembershipSuspended));
                around.push((self.users.get(&id.uuid()), Blocker::UserSuspended));
            }
            (_, _, Some(id)) => {
                around.push((self.service_accounts.get(&id.uuid()), Blocker::ServiceAccountSuspended));
            }
            _ => return Err(Error::internal("a key without an owner")),
        }
        let blocker = |(standing, suspended): (Option<&Standing>, Blocker)| match standing {
            Some(Standing::Active) => None,
            Some(Standing::Suspended) => Some(suspended),
            Some(Standing::Deleted) | None => Some(Blocker::OwnerGone),
        };
        Ok(around.into_iter().filter_map(blocker).chain(self.holder_blocker(key, now)).collect())
    }

    /// What stops a key for the person whom it was issued to.
    fn holder_blocker(&self, key: &Key, now: DateTime<Utc>) -> Option<Blocker> {
        if key.holder_left_at.is_some_and(|left| left <= now) {
            return Some(Blocker::HolderLeft);
        }
        let id = key.issued_to_user_id?.uuid();
        match (self.members.get(&id)?, self.users.get(&id)?) {
            (Standing::Active, Standing::Active) => None,
            (Standing::Deleted, _) | (_, Standing::Deleted) => Some(Blocker::HolderLeft),
            (Standing::Suspended, _) => Some(Blocker::MembershipSuspended),
            (_, Standing::Suspended) => Some(Blocker::UserSuspended),
        }
    }
}
