//! [`Unit`]: one transaction that holds an effect, its audit events, its policy changes and, for an idempotent call,
//! its reply. Nothing of it exists until `commit`; dropping it undoes everything.

use crate::{
    Ctx, Error, Result,
    audit::Draft,
    head::{self, Change, PolicyKind, Turn},
    idempotency::{self, Guard, Reply},
    repository::{Repository, Scoped, Writer},
    token::Token,
};
use chrono::{DateTime, Utc};
use entity::id::{Id, OrganizationId};
use sea_orm::{DatabaseTransaction, IdenStatic, IntoActiveModel, Iterable, ModelTrait};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{fmt::Display, sync::OnceLock};
use uuid::Uuid;
use zeroize::Zeroizing;

/// One unit of work.
#[derive(Debug)]
#[must_use = "a unit that is not committed is undone"]
pub struct Unit<'c> {
    pub(crate) ctx: &'c Ctx,
    pub(crate) tx: DatabaseTransaction,
    /// The time of everything in the unit, by the database.
    pub now: DateTime<Utc>,
    drafts: Vec<Draft>,
    changes: Vec<Change>,
    guard: Option<Guard>,
    /// Whether its turn came, once it was waited for.
    turn: OnceLock<Option<Turn>>,
}

impl<'c> Unit<'c> {
    pub(crate) async fn begin(ctx: &'c Ctx) -> Result<Self> {
        let guard = ctx.ticket.get().map(|ticket| Guard::enter(&ctx.system, ticket)).transpose()?;
        let tx = ctx.system.db.begin().await?;
        let now = ctx.system.clock.now(&tx).await?;
        if let Some(ticket) = ctx.ticket.get() {
            idempotency::claim(&tx, ticket, now).await?;
        }
        Ok(Self { ctx, tx, now, drafts: Vec::new(), changes: Vec::new(), guard, turn: OnceLock::new() })
    }

    /// The same unit, from here on in another scope: what joins a person to an organization concerns both the
    /// platform and the tenant.
    pub fn within(self, ctx: &Ctx) -> Unit<'_> {
        let Self { ctx: _, tx, now, drafts, changes, guard, turn } = self;
        Unit { ctx, tx, now, drafts, changes, guard, turn }
    }

    /// Waits for the units of this process that are about to lock the head of an organization; to be called before that, and
    /// called at the latest when the unit is committed.
    pub(crate) async fn take_turn(&self, organization: OrganizationId) {
        if self.turn.get().is_none() {
            let _ = self.turn.set(self.ctx.system.heads.turn(organization).await);
        }
    }

    /// Reads within the transaction.
    pub fn read<E: Scoped>(&self) -> Repository<'_, E, DatabaseTransaction> {
        Repository::new(&self.tx, self.ctx)
    }

    /// Reads within the transaction, in another scope: what the caller's reach hides and the use-case needs.
    pub fn read_in<'u, E: Scoped>(&'u self, ctx: &'u Ctx) -> Repository<'u, E, DatabaseTransaction> {
        Repository::new(&self.tx, ctx)
    }

    /// Writes within the transaction.
    pub fn repository<E: Scoped>(&mut self) -> Writer<'_, 'c, E>
    where
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        Writer::new(self)
    }

    /// A new id for a row made in this unit.
    pub fn id<K>(&self) -> Id<K> {
        self.ctx.id(self.now)
    }

    /// Notes an audit event in the scope's chain.
    pub fn audit(&mut self, action: impl Into<String>, subject: impl Display, detail: Value) {
        self.audit_in(self.ctx.scope.organization, action, subject, detail);
    }

    /// Notes an audit event in another organization's chain, for what concerns both.
    pub fn audit_in(
        &mut self,
        organization: OrganizationId,
        action: impl Into<String>,
        subject: impl Display,
        detail: Value,
    ) {
        let action = action.into();
        self.drafts.push(Draft { organization, action, subject: subject.to_string(), detail });
    }

    pub(crate) fn audit_change<E: Scoped>(
        &mut self,
        action: &str,
        id: E::Id,
        before: Option<&E::Model>,
        after: Option<&E::Model>,
    ) {
        let action = format!("{}.{action}", E::KIND.replace(' ', "_"));
        let detail = difference::<E>(before, after);
        self.audit(action, id, detail);
    }

    pub(crate) fn changed<E: Scoped>(&mut self, row: &E::Model) {
        if let Some(kind) = E::POLICY {
            self.policy(kind, E::concerns(row));
        }
    }

    /// A new row changes what is remembered only where it is one of several that are remembered together.
    pub(crate) fn made<E: Scoped>(&mut self, row: &E::Model) {
        if E::POLICY.is_some_and(PolicyKind::is_set) {
            self.changed::<E>(row);
        }
    }

    /// Notes that decisions of the scope's organization depend on something that changed.
    pub fn policy(&mut self, kind: PolicyKind, subject: Uuid) {
        self.changes.push(Change { organization: self.ctx.scope.organization, kind, subject });
    }

    /// The replies that carried a secret of this key or token are forgotten: the secret is no longer good, or
    /// no longer the latest.
    pub async fn forget_replies(&self, subject: Uuid) -> Result<()> {
        idempotency::forget(&self.tx, &[subject]).await
    }

    /// The same for many.
    pub async fn forget_all_replies(&self, subjects: &[Uuid]) -> Result<()> {
        idempotency::forget(&self.tx, subjects).await
    }

    /// Makes everything in the unit true, and answers with `view`.
    pub async fn commit<V: Serialize>(self, view: V) -> Result<V> {
        self.finish(view, None).await
    }

    /// The same, for a reply that shows `secret`, a token of the row `of`.
    pub async fn commit_secret<V: Serialize>(self, view: V, secret: &Token) -> Result<V> {
        self.finish(view, Some(secret.id())).await
    }

    async fn finish<V: Serialize>(self, view: V, secret_of: Option<Uuid>) -> Result<V> {
        self.take_turn(self.ctx.scope.organization).await;
        let Self { ctx, tx, now, drafts, changes, guard, turn } = self;
        if let Some(ticket) = ctx.ticket.get() {
            let body = Zeroizing::new(serde_json::to_vec(&view).map_err(Error::internal)?);
            idempotency::store(ctx, &tx, ticket, Reply { body, secret_of, now }).await?;
        }
        head::append(ctx, &tx, now, drafts, changes).await?;
        ctx.system.db.commit(tx).await?;
        drop(turn);
        drop(guard);
        Ok(view)
    }
}

/// What changed: the whole row at its creation and its end, in between the changed columns and those that always are told.
fn difference<E: Scoped>(before: Option<&E::Model>, after: Option<&E::Model>) -> Value {
    let (mut before, mut after) = (before.map(snapshot::<E>), after.map(snapshot::<E>));
    if let (Some(old), Some(new)) = (&mut before, &mut after) {
        let told: Vec<&str> =
            E::Column::iter().filter(E::is_always_told).map(|column| column.as_str()).collect();
        let same = old.iter().filter(|(k, v)| new.get(*k) == Some(v) && !told.contains(&k.as_str()));
        let same: Vec<String> = same.map(|(k, _)| k.clone()).collect();
        let drop_same = |map: &mut Map<String, Value>| map.retain(|key, _| !same.contains(key));
        drop_same(old);
        drop_same(new);
    }
    json!({ "before": before, "after": after })
}

/// A row as JSON for the audit log. Secrets are byte columns, and byte columns are left out, as is what is personal.
fn snapshot<E: Scoped>(row: &E::Model) -> Map<String, Value> {
    E::Column::iter()
        .filter(|column| !E::is_personal(column))
        .map(|column| (column, row.get(column)))
        .filter(|(_, value)| !matches!(value, sea_orm::Value::Bytes(_)))
        .map(|(column, value)| (column.as_str().to_owned(), as_json(&value)))
        .collect()
}

/// A value as JSON: times as in the API, where the library writes them as literals of SQL.
fn as_json(value: &sea_orm::Value) -> Value {
    match value {
        sea_orm::Value::ChronoDateTimeUtc(Some(time)) => json!(time),
        other => sea_orm::sea_query::sea_value_to_json_value(other),
    }
}
