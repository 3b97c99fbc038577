//! Loads what is not remembered: one query a table for all that a batch is missing.

use super::{
    Work,
    cache::Cache,
    facts::{Account, GatewayToken, Key, Member, Organization, Secret, ServiceAccount, Team},
};
use entity::{
    gateway_token,
    id::{GatewayTokenId, KeyId, OrganizationId, ServiceAccountId, TeamId, UserId},
    key_secret, membership, organization, service_account, team, user_account, virtual_key,
};
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, PartialModelTrait,
    QueryFilter, QuerySelect, Value,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Reads for one batch.
#[derive(Debug)]
pub(super) struct Loader<'s> {
    pub(super) db: &'s DatabaseConnection,
    pub(super) work: &'s Work,
}

/// Gateway tokens, keys and organizations that a batch is missing.
#[derive(Debug, Default)]
pub(super) struct Missing {
    pub(super) tokens: BTreeSet<GatewayTokenId>,
    pub(super) keys: BTreeSet<KeyId>,
}

/// The owners of keys, and organizations, that a batch is missing.
#[derive(Debug, Default)]
pub(super) struct Parents {
    pub(super) organizations: BTreeSet<OrganizationId>,
    pub(super) teams: BTreeSet<TeamId>,
    pub(super) members: BTreeSet<(OrganizationId, UserId)>,
    pub(super) accounts: BTreeSet<UserId>,
    pub(super) service_accounts: BTreeSet<ServiceAccountId>,
}

/// `column IN (…)`, padded to a power of two with the last id, so that few texts are prepared.
fn one_of<C: ColumnTrait>(
    column: C,
    ids: impl ExactSizeIterator<Item = impl Into<Value> + Copy>,
) -> Condition {
    let count = ids.len().next_power_of_two();
    let mut ids: Vec<_> = ids.collect();
    if let Some(last) = ids.last().copied() {
        ids.resize(count, last);
    }
    Condition::all().add(column.is_in(ids))
}

impl Loader<'_> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a batch spans organizations; entries are tagged with theirs"
    )]
    async fn rows<E: EntityTrait, V>(&self, wanted: bool, which: Condition) -> Result<Vec<V>, DbErr>
    where
        V: PartialModelTrait + FromQueryResult + Send + Sync,
    {
        if !wanted {
            return Ok(Vec::new());
        }
        let rows = E::find().filter(which).into_partial_model::<V>().all(self.db).await?;
        self.work.ran(rows.len());
        Ok(rows)
    }

    /// Which organizations these gateway tokens and keys belong to; they never move.
    #[expect(clippy::disallowed_methods, reason = "no organization is known yet")]
    pub(super) async fn locate(&self, missing: &Missing) -> Result<HashMap<Uuid, OrganizationId>, DbErr> {
        let mut found = HashMap::new();
        if !missing.tokens.is_empty() {
            let select = gateway_token::Entity::find()
                .select_only()
                .columns([gateway_token::Column::Id, gateway_token::Column::OrganizationId])
                .filter(one_of(gateway_token::Column::Id, missing.tokens.iter().copied()));
            found.extend(select.into_tuple::<(Uuid, OrganizationId)>().all(self.db).await?);
            self.work.ran(0);
        }
        if !missing.keys.is_empty() {
            let select = virtual_key::Entity::find()
                .select_only()
                .columns([virtual_key::Column::Id, virtual_key::Column::OrganizationId])
                .filter(one_of(virtual_key::Column::Id, missing.keys.iter().copied()));
            found.extend(select.into_tuple::<(Uuid, OrganizationId)>().all(self.db).await?);
            self.work.ran(0);
        }
        Ok(found)
    }

    /// Loads gateway tokens and keys.
    pub(super) async fn credentials(&self, missing: &Missing, cache: &mut Cache) -> Result<(), DbErr> {
        let (tokens, keys) = (&missing.tokens, &missing.keys);
        let by_id = one_of(gateway_token::Column::Id, tokens.iter().copied());
        let (tokens, rows, secrets) = tokio::try_join!(
            self.rows::<gateway_token::Entity, GatewayToken>(!tokens.is_empty(), by_id),
            self.rows::<virtual_key::Entity, Key>(
                !keys.is_empty(),
                one_of(virtual_key::Column::Id, keys.iter().copied())
            ),
            self.rows::<key_secret::Entity, Secret>(
                !keys.is_empty(),
                one_of(key_secret::Column::KeyId, keys.iter().copied())
            ),
        )?;
        for token in tokens {
            cache.put_token(token);
        }
        let mut of_key: BTreeMap<KeyId, Vec<Secret>> = BTreeMap::new();
        for secret in secrets {
            of_key.entry(secret.key_id).or_default().push(secret);
        }
        for key in rows {
            let secrets = of_key.remove(&key.id).unwrap_or_default();
            cache.put_key(Key { secrets, ..key });
        }
        Ok(())
    }

    /// Loads organizations and the owners of keys.
    pub(super) async fn parents(&self, missing: &Parents, cache: &mut Cache) -> Result<(), DbErr> {
        let Parents { organizations, teams, members, accounts, service_accounts } = missing;
        let of = |organization| membership::Column::OrganizationId.eq(organization);
        let is = |user| membership::Column::UserId.eq(user);
        let pairs = members.iter().fold(Condition::any(), |any, (organization, user)| {
            any.add(Condition::all().add(of(*organization)).add(is(*user)))
        });
        let (organizations, teams, members, accounts, service_accounts) = tokio::try_join!(
            self.rows::<organization::Entity, Organization>(
                !organizations.is_empty(),
                one_of(organization::Column::Id, organizations.iter().copied())
            ),
            self.rows::<team::Entity, Team>(
                !teams.is_empty(),
                one_of(team::Column::Id, teams.iter().copied())
            ),
            self.rows::<membership::Entity, Member>(!members.is_empty(), pairs),
            self.rows::<user_account::Entity, Account>(
                !accounts.is_empty(),
                one_of(user_account::Column::Id, accounts.iter().copied())
            ),
            self.rows::<service_account::Entity, ServiceAccount>(
                !service_accounts.is_empty(),
                one_of(service_account::Column::Id, service_accounts.iter().copied())
            ),
        )?;
        for row in organizations {
            cache.put_organization(row);
        }
        for row in teams {
            cache.put_team(row);
        }
        for row in members {
            cache.put_member(row);
        }
        for row in accounts {
            cache.put_account(row);
        }
        for row in service_accounts {
            cache.put_service_account(row);
        }
        Ok(())
    }
}
