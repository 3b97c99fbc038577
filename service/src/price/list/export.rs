//! Exporting prices: what is in force or will be, or everything there ever was, as a file that imports as the same
//! prices.

use super::{ENTRIES, Encoding, ListPrice, own};
use crate::{Ctx, Error, Result, blocking};
use chrono::{DateTime, Utc};
use entity::{
    id::PriceId,
    price::{Column, Entity, Model},
};
use sea_orm::{ColumnTrait, Condition};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Rows that are read at a time: as many as are understood in some milliseconds, in which a thread does nothing else.
const AT_ONCE: usize = 250;
const PAGE: u64 = AT_ONCE as u64;

/// The scope's own prices as a file, those of connections left out. No more is kept of them than goes into the file.
pub async fn export(ctx: &Ctx, encoding: Encoding, history: bool) -> Result<Vec<u8>> {
    let now = ctx.now().await?;
    let terms = sorted(terms(ctx).await?);
    let chosen: Vec<PriceId> =
        if history { terms.iter().map(|term| term.id).collect() } else { standing(&terms, now) };
    drop(terms);
    if chosen.len() > ENTRIES {
        return Err(too_many(history));
    }
    let mut prices = Vec::with_capacity(chosen.len());
    for part in chosen.chunks(AT_ONCE) {
        let rows = ctx.repository::<Entity>().all(Column::Id.is_in(part.iter().copied()), PAGE).await?;
        let mut rows: HashMap<PriceId, Model> = rows.into_iter().map(|row| (row.id, row)).collect();
        prices.extend(part.iter().filter_map(|id| rows.remove(id)).map(ListPrice::from));
    }
    blocking::run(move || own::write(prices, encoding)).await?
}

fn too_many(history: bool) -> Error {
    if history {
        let message = format!("there are more than {ENTRIES} prices; leave out those that are over");
        return Error::invalid("?history", "too_many", message);
    }
    let message =
        format!("there are more than {ENTRIES} prices in force or to come: more than a file may hold");
    Error::InvalidState("too_many", message.into())
}

/// What decides whether a price is in the file.
struct Term {
    id: PriceId,
    model: Option<String>,
    provider: Option<String>,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

async fn terms(ctx: &Ctx) -> Result<Vec<Term>> {
    let (mut terms, mut after) = (Vec::new(), PriceId::new(Uuid::nil()));
    loop {
        let next = Condition::all().add(Column::ConnectionId.is_null()).add(Column::Id.gt(after));
        let rows = ctx.repository::<Entity>().all(next, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(terms) };
        after = last.id;
        terms.extend(rows.into_iter().map(|row| Term {
            id: row.id,
            model: row.model,
            provider: row.provider,
            from: row.effective_from,
            until: row.effective_until,
        }));
    }
}

/// By key, and in the order of time.
fn sorted(mut terms: Vec<Term>) -> Vec<Term> {
    terms.sort_by(|a, b| (&a.model, &a.provider, a.from).cmp(&(&b.model, &b.provider, b.from)));
    terms
}

/// Those that are in force at some moment from `now` on.
fn standing(terms: &[Term], now: DateTime<Utc>) -> Vec<PriceId> {
    let same_key = |a: &Term, b: &Term| (&a.model, &a.provider) == (&b.model, &b.provider);
    let standing: HashSet<PriceId> =
        terms.chunk_by(same_key).flat_map(|key| in_force_from(key, now)).collect();
    terms.iter().map(|term| term.id).filter(|id| standing.contains(id)).collect()
}

/// Of one key. What is in force changes only where a term begins or ends.
fn in_force_from(key: &[Term], now: DateTime<Utc>) -> impl Iterator<Item = PriceId> {
    let turns = key.iter().flat_map(|term| term.until.into_iter().chain([term.from]));
    turns.filter(move |turn| *turn > now).chain([now]).filter_map(|moment| {
        let holds = |term: &&Term| term.from <= moment && term.until.is_none_or(|end| moment < end);
        key.iter().filter(holds).max_by_key(|term| term.from).map(|term| term.id)
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
