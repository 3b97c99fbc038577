//! Exporting prices: what is in force or will be, or everything there ever was, as a file that imports as the same
//! prices.

use super::{Encoding, ListPrice, import::MOST, own};
use crate::{Ctx, Result, blocking};
use chrono::{DateTime, Utc};
use entity::{
    id::PriceId,
    price::{Column, Entity, Model},
};
use sea_orm::ColumnTrait;
use std::collections::HashSet;

/// The scope's own prices as a file, those of connections left out.
pub async fn export(ctx: &Ctx, encoding: Encoding, history: bool) -> Result<Vec<u8>> {
    let now = ctx.now().await?;
    let rows = ctx.repository::<Entity>().all(Column::ConnectionId.is_null(), MOST).await?;
    blocking::run(move || {
        let rows = if history { sorted(rows) } else { standing(sorted(rows), now) };
        own::write(rows.into_iter().map(ListPrice::from).collect(), encoding)
    })
    .await?
}

/// By key, and in the order of time.
fn sorted(mut rows: Vec<Model>) -> Vec<Model> {
    rows.sort_by(|a, b| {
        (&a.model, &a.provider, a.effective_from).cmp(&(&b.model, &b.provider, b.effective_from))
    });
    rows
}

/// Those that are in force at some moment from `now` on.
fn standing(rows: Vec<Model>, now: DateTime<Utc>) -> Vec<Model> {
    let same_key = |a: &Model, b: &Model| (&a.model, &a.provider) == (&b.model, &b.provider);
    let standing: HashSet<PriceId> =
        rows.chunk_by(same_key).flat_map(|key| in_force_from(key, now)).collect();
    rows.into_iter().filter(|row| standing.contains(&row.id)).collect()
}

/// Of one key. What is in force changes only where a term begins or ends.
fn in_force_from(key: &[Model], now: DateTime<Utc>) -> impl Iterator<Item = PriceId> {
    let turns = key.iter().flat_map(|row| row.effective_until.into_iter().chain([row.effective_from]));
    turns.filter(move |turn| *turn > now).chain([now]).filter_map(|moment| {
        let holds =
            |row: &&Model| row.effective_from <= moment && row.effective_until.is_none_or(|end| moment < end);
        key.iter().filter(holds).max_by_key(|row| row.effective_from).map(|row| row.id)
    })
}

impl From<Model> for ListPrice {
    fn from(row: Model) -> Self {
        let mut price = Self {
            model: row.model,
            provider: row.provider,
            currency: Some(row.currency),
            markup_bps: row.markup_bps,
            effective_from: Some(row.effective_from),
            effective_until: row.effective_until,
            source: row.source,
            sourced_on: row.sourced_on,
            note: row.note,
            ..Self::default()
        };
        price.set_terms(row.kind, &row.terms);
        price
    }
}
