//! Encryption keys: data keys are wrapped anew one by one, each by compare and set; a version that wraps none is retired. It goes
//! upwards only, so that of two rotations with different configurations neither undoes what the other does.

use super::{PAUSE, Rotation, TRIES};
use crate::{
    Error, Result,
    checks::{self, NAMES},
    error::is_restricted,
    vault::key,
};
use entity::data_key::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

/// Data keys that are read at a time.
const AT_ONCE: u64 = 100;

impl Rotation<'_> {
    /// Wraps every data key that is wrapped with an older encryption key.
    #[expect(clippy::disallowed_methods, reason = "the data keys of every tenant")]
    pub(super) async fn wrap_all(&mut self) -> Result<()> {
        let mut after = None;
        loop {
            self.step()?;
            let older = Entity::find().filter(Column::KekVersion.lt(self.report.active));
            let rest = after.map_or(older.clone(), |id| older.filter(Column::Id.gt(id)));
            let rows = rest.order_by_asc(Column::Id).limit(AT_ONCE).all(&self.system.db.writer).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id);
            for row in &rows {
                match self.wrap(row).await {
                    Err(Error::Internal(fault)) => self.broken(fault),
                    outcome => self.report.wrapped += outcome?,
                }
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the data keys of every tenant")]
    async fn wrap(&self, row: &Model) -> Result<u64> {
        let data_key = key::unwrap(self.system, row)?;
        let (version, wrapped) = key::wrap(self.system, row.organization_id, row.id, &data_key)?;
        self.step()?;
        let now = self.system.clock.now(&self.system.db.writer).await?;
        let changes = ActiveModel {
            kek_version: Set(version),
            wrapped: Set(wrapped),
            wrapped_at: Set(now),
            ..Default::default()
        };
        let update = Entity::update_many()
            .set(changes)
            .filter(Column::Id.eq(row.id))
            .filter(Column::KekVersion.eq(row.kek_version));
        let outcome = update.exec(&self.system.db.writer).await;
        let outcome = outcome
            .map_err(|error| if is_restricted(&error) { checks::retired(version) } else { error.into() });
        Ok(outcome?.rows_affected)
    }

    /// Retires the older encryption keys. An instance whose active one is an older one may be wrapping with it meanwhile.
    pub(super) async fn retire_versions(&mut self) -> Result<()> {
        for attempt in 0..TRIES {
            self.step()?;
            self.report.kept.clear();
            for version in checks::encryption_keys(&self.system.db).await? {
                if version < self.report.active {
                    self.retire(version).await?;
                }
            }
            if self.report.kept.is_empty() || attempt + 1 == TRIES {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            self.wrap_all().await?;
        }
        self.report.newer = self.wrapped_with(Column::KekVersion.gt(self.report.active)).await?;
        Ok(())
    }

    async fn retire(&mut self, version: i32) -> Result<()> {
        self.step()?;
        let wrapped = self.wrapped_with(Column::KekVersion.eq(version)).await?;
        if wrapped > 0 {
            self.report.kept.push((version, wrapped));
            return Ok(());
        }
        let ctx = self.ctx(entity::id::OrganizationId::PLATFORM);
        let mut unit = ctx.begin().await?;
        self.step()?;
        match checks::retire(&unit.tx, version).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                let name = NAMES[0];
                unit.audit(format!("{name}.retire"), format!("{name}:{version}"), json!({}));
                self.step()?;
                unit.commit(()).await?;
                self.report.retired.push(version);
                Ok(())
            }
            // Wrapped with it by an instance that has not got the newer one, since they were counted.
            Err(error) if is_restricted(&error) => {
                self.report.kept.push((version, 1));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the data keys of every tenant")]
    async fn wrapped_with(&self, versions: sea_orm::sea_query::SimpleExpr) -> Result<u64> {
        Ok(Entity::find().filter(versions).count(&self.system.db.writer).await?)
    }
}
