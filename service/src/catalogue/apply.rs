//! Applying a catalogue: one transaction, after which the platform has all of it, or nothing of it was there. Locks are
//! taken in one order: the state of the catalogue, the rows, the head.

use super::{
    Catalogue, ListedModel,
    begin::{Verdict, Wanted, verdict},
    state,
};
use crate::{
    Ctx, Error, Result, Unit, error::ConflictExt, head, model::Model, price::list::ListPrice,
    provider::Provider, repository::Versioned, validate::Faults,
};
use chrono::NaiveTime;
use entity::{model, price, provider, status::Origin};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, IntoActiveModel};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use utoipa::ToSchema;

/// The currency of prices that name none.
const CURRENCY: &str = "USD";
/// Prices of the platform that are looked at: all of them.
const PRICES: u64 = 10_000_000;

/// What became of a catalogue.
#[derive(Debug)]
pub enum Outcome {
    /// The platform has it now.
    Applied(AppliedCatalogue),
    /// The platform had it already.
    Current,
    /// The platform has this later one.
    Older(i64),
}

/// What applying a catalogue changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedCatalogue {
    /// Its version.
    #[schema(example = 1)]
    pub catalogue_version: i64,
    /// Of the platform's providers.
    pub providers: Changes,
    /// Of the platform's models.
    pub models: Changes,
    /// Of the platform's prices.
    pub prices: Changes,
}

/// How many rows of a catalogue there are, by what became of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Changes {
    /// New ones.
    pub added: u64,
    /// Changed ones; a changed price is a new price, in force from now or the catalogue's date on.
    pub changed: u64,
    /// Those that were there already.
    pub unchanged: u64,
    /// Those that somebody else made, changed or ended: they are kept as they are.
    pub kept: u64,
}

/// Applies a catalogue to the platform, unless it is there already or a later one is.
pub async fn apply(ctx: &Ctx, catalogue: &Catalogue) -> Result<Outcome> {
    let unit = ctx.begin().await?;
    let state = state::lock(&unit).await?;
    if state.version > catalogue.version {
        return Ok(Outcome::Older(state.version));
    }
    if state.version == catalogue.version && state.digest == catalogue.digest {
        return Ok(Outcome::Current);
    }
    write(unit, catalogue).await.map(Outcome::Applied)
}

/// Applies the catalogue of this release once more: what was deleted since is there again.
pub async fn restore(ctx: &Ctx) -> Result<AppliedCatalogue> {
    let catalogue = Catalogue::built_in()?;
    let unit = ctx.begin().await?;
    let state = state::lock(&unit).await?;
    if state.version > catalogue.version {
        let detail =
            format!("the installation has version {} of the catalogue, of a newer release", state.version);
        return Err(Error::InvalidState("catalogue_older", detail.into()));
    }
    write(unit, &catalogue).await
}

async fn write(mut unit: Unit<'_>, catalogue: &Catalogue) -> Result<AppliedCatalogue> {
    state::save(&unit, catalogue).await?;
    let providers = providers(&mut unit, catalogue).await?;
    let models = models(&mut unit, catalogue).await?;
    let prices = prices(&mut unit, catalogue).await?;
    let applied = AppliedCatalogue { catalogue_version: catalogue.version, providers, models, prices };
    unit.audit("catalogue.apply", "catalogue", json!(applied));
    unit.commit(applied).await
}

async fn providers(unit: &mut Unit<'_>, catalogue: &Catalogue) -> Result<Changes> {
    let rows: Vec<Provider> = unit.read::<provider::Entity>().views(Condition::all()).await?;
    let there: HashMap<&str, &Provider> = rows.iter().map(|row| (row.name.as_str(), row)).collect();
    let mut plan = Plan::<provider::Entity>::default();
    for listed in &catalogue.providers {
        let wanted = provider::ActiveModel {
            id: Set(unit.id()),
            name: Set(listed.name.clone()),
            display_name: Set(listed.display_name.clone()),
            origin: Set(Origin::Catalogue),
            ..Default::default()
        };
        let found = there.get(listed.name.as_str());
        let found = found.map(|row| (row.id, row.origin, row.display_name == listed.display_name));
        plan.add(wanted, found);
    }
    plan.carry_out(unit, provider::Column::Origin).await
}

async fn models(unit: &mut Unit<'_>, catalogue: &Catalogue) -> Result<Changes> {
    let rows: Vec<Model> = unit.read::<model::Entity>().views(Condition::all()).await?;
    let there: HashMap<(&str, &str), &Model> =
        rows.iter().map(|row| ((row.provider.as_str(), row.name.as_str()), row)).collect();
    let mut plan = Plan::<model::Entity>::default();
    for listed in &catalogue.models {
        let wanted = model::ActiveModel {
            id: Set(unit.id()),
            provider: Set(listed.provider.clone()),
            name: Set(listed.name.clone()),
            capabilities: Set(listed.capabilities),
            context_window: Set(listed.context_window),
            max_output_tokens: Set(listed.max_output_tokens),
            deprecated: Set(listed.deprecated),
            deprecated_on: Set(listed.deprecated_on),
            origin: Set(Origin::Catalogue),
            source: Set(Some(catalogue.source.clone())),
            sourced_on: Set(Some(catalogue.dated)),
            ..Default::default()
        };
        let found = there.get(&(listed.provider.as_str(), listed.name.as_str()));
        plan.add(wanted, found.map(|row| (row.id, row.origin, says_the_same(row, listed))));
    }
    plan.carry_out(unit, model::Column::Origin).await
}

/// The facts are the same, on whatever day they were last looked up.
fn says_the_same(row: &Model, listed: &ListedModel) -> bool {
    row.capabilities == listed.capabilities
        && row.context_window == listed.context_window
        && row.max_output_tokens == listed.max_output_tokens
        && row.deprecated == listed.deprecated
        && row.deprecated_on == listed.deprecated_on
}

/// What is to be done to one table.
struct Plan<E: Versioned> {
    new: Vec<E::ActiveModel>,
    stale: Vec<(E::Id, E::ActiveModel)>,
    changes: Changes,
}

impl<E: Versioned> Default for Plan<E> {
    fn default() -> Self {
        Self { new: Vec::new(), stale: Vec::new(), changes: Changes::default() }
    }
}

impl<E> Plan<E>
where
    E: Versioned,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    /// Takes a row of the catalogue in; what is found of it in the table is its id, its origin, and whether it says the
    /// same.
    fn add(&mut self, wanted: E::ActiveModel, found: Option<(E::Id, Origin, bool)>) {
        match found {
            None => self.new.push(wanted),
            Some((_, origin, _)) if origin != Origin::Catalogue => self.changes.kept += 1,
            Some((_, _, true)) => self.changes.unchanged += 1,
            Some((id, _, false)) => self.stale.push((id, wanted)),
        }
    }

    async fn carry_out(mut self, unit: &mut Unit<'_>, origin: E::Column) -> Result<Changes> {
        for (id, wanted) in self.stale {
            // Who edits the row meanwhile takes it out of the catalogue.
            let ours = unit.repository::<E>().narrow(origin.eq(Origin::Catalogue));
            match ours.force("update", id, wanted).await {
                Err(Error::NotFound(_)) => self.changes.kept += 1,
                written => {
                    written?;
                    self.changes.changed += 1;
                }
            }
        }
        self.changes.added = insert::<E>(unit, self.new).await?;
        Ok(self.changes)
    }
}

/// Inserts rows, and says how many. Without any, nothing has changed for the policy caches.
async fn insert<E>(unit: &mut Unit<'_>, rows: Vec<E::ActiveModel>) -> Result<u64>
where
    E: Versioned,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    let count = rows.len() as u64;
    if count > 0 {
        unit.repository::<E>().insert_all(rows).await.conflict(E::KIND, "of the catalogue")?;
    }
    Ok(count)
}

/// Prices are looked at under the head's lock, as whoever makes one does: what is in force by then stays so.
async fn prices(unit: &mut Unit<'_>, catalogue: &Catalogue) -> Result<Changes> {
    unit.take_turn(unit.ctx.scope.organization).await;
    head::lock(&unit.tx, unit.ctx.scope.organization).await?;
    let now = unit.ctx.system.clock.now(&unit.tx).await?;
    let rows = unit.read::<price::Entity>().all(price::Column::ConnectionId.is_null(), PRICES).await?;
    let mut there: HashMap<_, Vec<&price::Model>> = HashMap::new();
    for row in &rows {
        there.entry((row.provider.as_deref(), row.model.as_deref())).or_default().push(row);
    }
    let mut changes = Changes::default();
    let mut new = Vec::new();
    for listed in &catalogue.prices {
        let key = (listed.provider.as_deref(), listed.model.as_deref());
        let same_key = there.get(&key).map_or(&[][..], Vec::as_slice);
        let wanted = wanted(listed, catalogue)?;
        match verdict(&wanted, same_key, now) {
            Verdict::Begins(from) => {
                let known = same_key.iter().any(|price| price.origin == Origin::Catalogue);
                changes.changed += u64::from(known);
                new.push(row(unit, listed, Wanted { from, ..wanted }));
            }
            Verdict::Unchanged => changes.unchanged += 1,
            Verdict::Kept => changes.kept += 1,
        }
    }
    changes.added = insert::<price::Entity>(unit, new).await? - changes.changed;
    Ok(changes)
}

/// What the catalogue says of a price, checked as every price is.
fn wanted(listed: &ListPrice, catalogue: &Catalogue) -> Result<Wanted> {
    let mut faults = Faults::default();
    let terms = listed.terms("", &mut faults);
    faults
        .finish()
        .map_err(|error| Error::internal(format!("the catalogue's {:?}: {error}", listed.model)))?;
    Ok(Wanted {
        terms,
        currency: listed.currency.clone().unwrap_or_else(|| CURRENCY.to_owned()),
        from: listed.effective_from.unwrap_or_else(|| catalogue.dated.and_time(NaiveTime::MIN).and_utc()),
    })
}

fn row(unit: &Unit<'_>, listed: &ListPrice, wanted: Wanted) -> price::ActiveModel {
    price::ActiveModel {
        id: Set(unit.id()),
        provider: Set(listed.provider.clone()),
        model: Set(listed.model.clone()),
        kind: Set(listed.kind),
        currency: Set(wanted.currency),
        terms: Set(wanted.terms),
        markup_bps: Set(listed.markup_bps),
        effective_from: Set(wanted.from),
        origin: Set(Origin::Catalogue),
        source: Set(listed.source.clone()),
        sourced_on: Set(listed.sourced_on),
        note: Set(listed.note.clone()),
        created_by: Set(unit.ctx.actor.id.clone()),
        ..Default::default()
    }
}
