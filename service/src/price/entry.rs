//! [`Entry`]: a price as the book keeps it. What many prices have in common, such as words and terms, is there once.

use super::{Level, Price};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    id::{ConnectionId, OrganizationId, PriceId},
    price,
    status::{Origin, PriceKind},
    terms::Terms,
};
use std::{collections::HashSet, hash::Hash, sync::Arc};

/// Bytes of a price with its places in the book, and of each of its rates.
const EMPTY: usize = 640;
const RATE: usize = 48;

/// What is known to be the same in several prices.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: HashSet<Arc<str>>,
    terms: HashSet<Arc<Terms>>,
}

/// The one of its kind, kept once.
fn once<T: ?Sized + Eq + Hash>(kept: &mut HashSet<Arc<T>>, value: impl AsRef<T> + Into<Arc<T>>) -> Arc<T> {
    if let Some(one) = kept.get(value.as_ref()) {
        return one.clone();
    }
    let one: Arc<T> = value.into();
    kept.insert(one.clone());
    one
}

impl Words {
    pub(super) fn word(&mut self, text: String) -> Arc<str> {
        once(&mut self.words, text)
    }
}

/// A price as the book keeps it. What many prices have in common is there once.
#[derive(Debug)]
pub struct Entry {
    /// Its id; what was charged names it for ever.
    pub id: PriceId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The connection it is for; none = all of the scope.
    pub connection_id: Option<ConnectionId>,
    /// The provider it is for; none = whoever serves the model.
    pub provider: Option<Arc<str>>,
    /// A model, or a glob of models; none = the default price.
    pub model: Option<Arc<str>>,
    /// How it charges.
    pub kind: PriceKind,
    /// ISO 4217.
    pub currency: Arc<str>,
    /// What it charges for.
    pub terms: Arc<Terms>,
    /// What a team is charged above cost, in hundredths of a percent.
    pub markup_bps: i32,
    /// In force from this moment on.
    pub effective_from: DateTime<Utc>,
    /// In force up to but not including this moment.
    pub effective_until: Option<DateTime<Utc>>,
    /// Where it comes from.
    pub origin: Origin,
    source: Option<Arc<str>>,
    sourced_on: Option<NaiveDate>,
    note: Option<Arc<str>>,
    created_by: Arc<str>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Entry {
    /// What a row says.
    pub(super) fn new(row: price::Model, words: &mut Words) -> Self {
        Self {
            id: row.id,
            organization_id: row.organization_id,
            connection_id: row.connection_id,
            provider: row.provider.map(|text| words.word(text)),
            model: row.model.map(|text| words.word(text)),
            kind: row.kind,
            currency: words.word(row.currency),
            terms: once(&mut words.terms, Arc::new(row.terms)),
            markup_bps: row.markup_bps,
            effective_from: row.effective_from,
            effective_until: row.effective_until,
            origin: row.origin,
            source: row.source.map(|text| words.word(text)),
            sourced_on: row.sourced_on,
            note: row.note.map(|text| words.word(text)),
            created_by: words.word(row.created_by),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// About how many bytes of memory it takes, if it shares nothing.
    pub(super) fn weight(&self) -> usize {
        let rates = self.terms.bands.iter().flat_map(|band| band.rates.values());
        let texts = [&self.provider, &self.model, &self.source, &self.note].into_iter().flatten();
        EMPTY
            + RATE * rates.map(|rates| rates.0.len()).sum::<usize>()
            + texts.map(|text| text.len()).sum::<usize>()
    }

    /// Whose it is.
    pub fn level(&self) -> Level {
        match self.connection_id {
            Some(_) => Level::Connection,
            None if self.organization_id == OrganizationId::PLATFORM => Level::Platform,
            None => Level::Organization,
        }
    }

    /// What is shown of it.
    pub fn view(&self) -> Price {
        let text = |text: &Arc<str>| text.as_ref().to_owned();
        price::Model {
            id: self.id,
            organization_id: self.organization_id,
            connection_id: self.connection_id,
            provider: self.provider.as_ref().map(text),
            model: self.model.as_ref().map(text),
            kind: self.kind,
            currency: text(&self.currency),
            terms: Terms::clone(&self.terms),
            markup_bps: self.markup_bps,
            effective_from: self.effective_from,
            effective_until: self.effective_until,
            origin: self.origin,
            source: self.source.as_ref().map(text),
            sourced_on: self.sourced_on,
            note: self.note.as_ref().map(text),
            created_by: text(&self.created_by),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
        .into()
    }
}
