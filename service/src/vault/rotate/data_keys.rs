//! Data keys: an organization gets a new one, what is sealed with a retired one is sealed anew in small pieces, and a retired one
//! that seals nothing is destroyed. Foreign keys keep a data key while a row names it; for the replies of idempotent calls, which
//! have none, the key's row is locked while they are counted: who seals holds that row.

use super::{PAUSE, Renewal, Rotation, TRIES};
use crate::{
    Result,
    error::is_restricted,
    vault::{cipher, key, places::SealedColumn},
};
use entity::{
    data_key::{Column, Entity},
    id::{DataKeyId, OrganizationId},
    status::DataKeyState,
};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockType},
};
use serde_json::json;

impl Rotation<'_> {
    /// The organizations that get a new data key.
    #[expect(clippy::disallowed_methods, reason = "the data keys of every tenant")]
    pub(super) async fn to_renew(&self, renewal: Renewal) -> Result<Vec<OrganizationId>> {
        let active = Entity::find()
            .select_only()
            .column(Column::OrganizationId)
            .filter(Column::State.eq(DataKeyState::Active));
        let of = match renewal {
            Renewal::Nobody => return Ok(Vec::new()),
            Renewal::Everybody => active,
            Renewal::One(organization) => active.filter(Column::OrganizationId.eq(organization)),
        };
        self.step()?;
        Ok(of.order_by_asc(Column::OrganizationId).into_tuple().all(&self.system.db.writer).await?)
    }

    /// Makes a new data key the active one of an organization.
    #[expect(clippy::disallowed_methods, reason = "the tenant is put on here")]
    pub(super) async fn renew(&mut self, organization: OrganizationId) -> Result<()> {
        let ctx = self.ctx(organization);
        self.step()?;
        let mut unit = ctx.begin().await?;
        self.step()?;
        let retired = Entity::update_many()
            .col_expr(Column::State, Expr::value(DataKeyState::Retired))
            .filter(Column::OrganizationId.eq(organization))
            .filter(Column::State.eq(DataKeyState::Active))
            .exec_with_returning(&unit.tx)
            .await?;
        // If there is none, another rotation has put a new one there just now.
        let Some(old) = retired.first() else { return Ok(()) };
        self.step()?;
        let new = key::make(self.system, &unit.tx, organization, unit.now).await?;
        unit.audit("data_key.rotate", new, json!({"before": {"id": old.id}, "after": {"id": new}}));
        self.step()?;
        unit.commit(()).await?;
        self.report.renewed += 1;
        Ok(())
    }

    /// The data keys that nothing new is sealed with.
    #[expect(clippy::disallowed_methods, reason = "the data keys of every tenant")]
    pub(super) async fn retired_keys(&self) -> Result<Vec<(OrganizationId, DataKeyId)>> {
        self.step()?;
        let select = Entity::find()
            .select_only()
            .columns([Column::OrganizationId, Column::Id])
            .filter(Column::State.eq(DataKeyState::Retired))
            .order_by_asc(Column::Id);
        Ok(select.into_tuple().all(&self.system.db.writer).await?)
    }

    /// Seals anew what is sealed with a retired data key, then destroys it. What others hold at the moment is tried again.
    pub(super) async fn clear(&mut self, organization: OrganizationId, key: DataKeyId) -> Result<()> {
        let mut left = 0;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let mut broken = 0;
            for column in SealedColumn::of_organization(organization) {
                broken += self.seal_anew(column, organization, key).await?;
            }
            left = self.destroy(organization, key).await?;
            if left == broken {
                break;
            }
        }
        if left > 0 {
            self.report.in_use.push((key, left));
        }
        Ok(())
    }

    /// Seals the values of a column anew; answers how many do not open, and stay as they are.
    async fn seal_anew(
        &mut self,
        column: &SealedColumn,
        organization: OrganizationId,
        key: DataKeyId,
    ) -> Result<u64> {
        let (mut after, mut broken) = (None::<Vec<u8>>, 0);
        loop {
            self.step()?;
            let tx = self.system.db.begin().await?;
            let now = self.system.clock.now(&tx).await?;
            let (new, new_secret) = key::active(self.system, &tx, organization, now).await?;
            let old_secret = match key::by_id(self.system, &tx, organization, key).await? {
                Some(secret) if new != key => secret,
                _ => return Ok(broken),
            };
            let rows = column.sealed_with(&tx, key, after.as_deref()).await?;
            let Some(last) = rows.last() else { return Ok(broken) };
            let mut sealed = 0;
            for row in &rows {
                let place = column.place(organization, row);
                let Some(plain) = cipher::open(&old_secret, &place.bound_to(key), &row.sealed) else {
                    broken += 1;
                    self.broken(format!("the sealed value {place} does not open"));
                    continue;
                };
                let nonce = self.system.entropy.bytes();
                let anew = cipher::seal(&new_secret, nonce, &place.bound_to(new), &plain)?;
                self.step()?;
                sealed += column.replace(&tx, row, (new, anew)).await?;
            }
            self.step()?;
            self.system.db.commit(tx).await?;
            self.report.sealed += sealed;
            after = Some(last.id.clone());
        }
    }

    /// Destroys a retired data key that seals nothing; answers how many values it seals.
    #[expect(clippy::disallowed_methods, reason = "the tenant is put on here")]
    async fn destroy(&mut self, organization: OrganizationId, key: DataKeyId) -> Result<u64> {
        let ctx = self.ctx(organization);
        self.step()?;
        let mut unit = ctx.begin().await?;
        // Who sealed with it before it was retired and has not committed yet holds it: this waits for them.
        let of = || Column::Id.eq(key).and(Column::OrganizationId.eq(organization));
        let held = Entity::find().filter(of()).lock(LockType::Update).one(&unit.tx).await?;
        if held.is_none_or(|row| row.state != DataKeyState::Retired) {
            return Ok(0);
        }
        let mut sealed = 0;
        for column in SealedColumn::of_organization(organization) {
            sealed += column.count(&unit.tx, key).await?;
        }
        if sealed > 0 {
            return Ok(sealed);
        }
        self.step()?;
        match Entity::delete_many().filter(of()).exec(&unit.tx).await {
            Err(error) if is_restricted(&error) => Ok(1),
            outcome => {
                outcome?;
                unit.audit("data_key.destroy", key, json!({}));
                self.step()?;
                unit.commit(()).await?;
                self.system.data_keys.forget(organization, key);
                self.report.destroyed += 1;
                Ok(0)
            }
        }
    }
}
