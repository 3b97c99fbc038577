//! What a list changes in the price book of a scope. Prices in force never change and those made by hand always win: a
//! new price is made from some moment on, or none.

use super::{
    Facts, ListPrice, Listed,
    report::{ImportEntry, ImportOutcome},
};
use crate::price::NewPrice;
use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    id::PriceId,
    price::{ActiveModel, Model},
    status::{Origin, PriceKind},
    terms::Terms,
};
use sea_orm::ActiveValue::Set;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// A price that a list asks for.
#[derive(Debug, Clone)]
struct Offer {
    key: Key,
    charge: Charge,
    /// From when on, if the list says so.
    begin: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    source: Option<String>,
    sourced_on: Option<NaiveDate>,
    note: Option<String>,
}

/// An entry of a list, ready to be compared: the price that it asks for, or why it asks for none.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) listed: Told,
    model: Option<String>,
    /// As JSON: a list has a hundred thousand of them, and the price as it is read is some kilobytes.
    pub(super) offer: Result<Box<str>, String>,
}

/// What an entry tells besides its price.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) key: String,
    pub(super) provider: Option<String>,
    pub(super) facts: Option<Box<Facts>>,
    pub(super) notes: Vec<String>,
}

/// What a price charges.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Charge {
    kind: PriceKind,
    /// As JSON: the same terms are the same text.
    terms: Box<str>,
    currency: String,
    markup_bps: i32,
}

/// Whom a price is for.
type Key = (Option<String>, Option<String>);

/// One price of a key and its term.
#[derive(Debug)]
struct Term {
    id: Option<PriceId>,
    begin: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    charge: Charge,
    note: Option<Digest>,
    manual: bool,
}

/// Of a remark, which is only compared: a hundred thousand of them would be longer than all the prices.
type Digest = [u8; 32];

fn digest(note: Option<&String>) -> Option<Digest> {
    note.map(|note| Sha256::digest(note).into())
}

/// The prices of a scope by their keys.
#[derive(Debug)]
pub(super) struct PriceBook {
    terms: HashMap<Key, Vec<Term>>,
    now: DateTime<Utc>,
}

impl Candidate {
    /// What an entry asks for. `currency` is that of prices that name none.
    pub(super) fn new(listed: Listed, now: DateTime<Utc>, currency: &str) -> Self {
        let Listed { key, provider, facts, price, notes } = listed;
        let offer = price.and_then(|mut price| {
            price.currency.get_or_insert_with(|| currency.to_owned());
            let text = serde_json::to_string(&price).map_err(|error| error.to_string())?;
            let row = NewPrice::from(price).checked(now).map_err(|error| error.to_string())?;
            Ok((text.into(), row.model.as_ref().clone()))
        });
        let (offer, model) = match offer {
            Ok((offer, model)) => (Ok(offer), model),
            Err(reason) => (Err(reason), None),
        };
        Self { listed: Told { key, provider, facts: facts.map(Box::new), notes }, model, offer }
    }

    /// The model whose price it asks for; none = the default price, or no price at all.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

impl Offer {
    fn read(json: &str, now: DateTime<Utc>) -> Result<Self, String> {
        let price: ListPrice = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let (begin, source, sourced_on) = (price.effective_from, price.source.clone(), price.sourced_on);
        let currency = price.currency.clone().unwrap_or_default();
        let row = NewPrice::from(price).checked(now).map_err(|error| error.to_string())?;
        let charge = Charge {
            kind: *row.kind.as_ref(),
            terms: text(row.terms.as_ref()),
            currency,
            markup_bps: *row.markup_bps.as_ref(),
        };
        Ok(Self {
            key: (row.provider.as_ref().clone(), row.model.as_ref().clone()),
            charge,
            begin: begin.map(|_| *row.effective_from.as_ref()),
            end: *row.effective_until.as_ref(),
            source,
            sourced_on,
            note: row.note.as_ref().clone(),
        })
    }
}

/// Terms as text; of what can be stored, there is one.
fn text(terms: &Terms) -> Box<str> {
    serde_json::to_string(terms).unwrap_or_default().into()
}

impl PriceBook {
    /// The book of these rows.
    pub(super) fn new(rows: Vec<Model>, now: DateTime<Utc>) -> Self {
        let mut book = Self { terms: HashMap::new(), now };
        book.add(rows);
        book
    }

    /// Adds further rows.
    pub(super) fn add(&mut self, rows: Vec<Model>) {
        for row in rows {
            let term = Term {
                id: Some(row.id),
                begin: row.effective_from,
                end: row.effective_until,
                charge: Charge {
                    kind: row.kind,
                    terms: text(&row.terms),
                    currency: row.currency,
                    markup_bps: row.markup_bps,
                },
                note: digest(row.note.as_ref()),
                manual: row.origin == Origin::Manual,
            };
            self.terms.entry((row.provider, row.model)).or_default().push(term);
        }
    }

    /// What becomes of an entry, and the row to make for it. What is made is there for the entries after it.
    pub(super) fn enter(&mut self, candidate: Candidate) -> (ImportEntry, Option<ActiveModel>) {
        let Candidate { listed, model: _, offer } = candidate;
        let mut entry = ImportEntry {
            key: listed.key,
            provider: listed.provider,
            outcome: ImportOutcome::Skipped,
            price_id: None,
            reason: None,
            notes: listed.notes,
        };
        let decided = offer.and_then(|text| {
            let offer = Offer::read(&text, self.now)?;
            let (outcome, id) = self.decide(&offer)?;
            let row = (outcome != ImportOutcome::Unchanged).then(|| self.make(offer)).transpose()?;
            Ok((outcome, id, row))
        });
        match decided {
            Err(reason) => {
                entry.reason = Some(reason);
                (entry, None)
            }
            Ok((outcome, id, row)) => {
                (entry.outcome, entry.price_id) = (outcome, id);
                (entry, row)
            }
        }
    }

    fn decide(&self, offer: &Offer) -> Result<(ImportOutcome, Option<PriceId>), String> {
        let begin = offer.begin.unwrap_or(self.now);
        if offer.end.is_some_and(|end| end <= begin) {
            return Err("it would end before it begins".to_owned());
        }
        let terms = self.terms_of(&offer.key);
        let current = terms.iter().filter(|term| term.holds(begin)).max_by_key(|term| term.begin);
        if let Some(current) = current.filter(|current| offer.is(current)) {
            return Ok((ImportOutcome::Unchanged, current.id));
        }
        if current.is_some_and(|current| current.manual) || self.is_held_by_hand(offer, begin) {
            return Err("a price made by hand holds; it wins".to_owned());
        }
        if terms.iter().any(|term| term.id.is_some() && term.held_between(begin, self.now)) {
            return Err("it would begin in the past, where another price was in force".to_owned());
        }
        if let Some(other) = terms.iter().find(|term| term.excludes(begin, offer.end, self.now)) {
            return Err(format!(
                "it would overlap with a price of the same key from {}",
                other.begin.to_rfc3339()
            ));
        }
        let before = current.filter(|current| current.id.is_some());
        Ok((if before.is_some() { ImportOutcome::Changed } else { ImportOutcome::Added }, None))
    }

    fn terms_of(&self, key: &Key) -> &[Term] {
        self.terms.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a price made by hand for the model at every provider holds, or will: the price of one provider would be
    /// found before it.
    fn is_held_by_hand(&self, offer: &Offer, begin: DateTime<Utc>) -> bool {
        let (provider, model) = &offer.key;
        let terms = self.terms_of(&(None, model.clone()));
        provider.is_some() && terms.iter().any(|term| term.manual && term.meets(begin, offer.end))
    }

    fn make(&mut self, offer: Offer) -> Result<ActiveModel, String> {
        let Offer { key, charge, begin, end, source, sourced_on, note } = offer;
        let begin = begin.unwrap_or(self.now);
        let remark = digest(note.as_ref());
        let terms = serde_json::from_str(&charge.terms).map_err(|error| error.to_string())?;
        let row = ActiveModel {
            provider: Set(key.0.clone()),
            model: Set(key.1.clone()),
            connection_id: Set(None),
            kind: Set(charge.kind),
            currency: Set(charge.currency.clone()),
            terms: Set(terms),
            markup_bps: Set(charge.markup_bps),
            effective_from: Set(begin),
            effective_until: Set(end),
            origin: Set(Origin::Import),
            source: Set(source),
            sourced_on: Set(sourced_on),
            note: Set(note),
            ..Default::default()
        };
        self.terms.entry(key).or_default().push(Term {
            id: None,
            begin,
            end,
            charge,
            note: remark,
            manual: false,
        });
        Ok(row)
    }
}

impl Offer {
    /// Whether a price is what is asked for already. A list that names a begin asks for all of a price, unless the
    /// price begins then.
    fn is(&self, term: &Term) -> bool {
        let whole = || term.end == self.end && term.note == digest(self.note.as_ref());
        self.charge == term.charge && self.begin.is_none_or(|begin| begin == term.begin || whole())
    }
}

impl Term {
    /// Whether a moment is in it.
    fn holds(&self, moment: DateTime<Utc>) -> bool {
        self.begin <= moment && self.end.is_none_or(|end| moment < end)
    }

    /// Whether some moment is in both.
    fn meets(&self, begin: DateTime<Utc>, end: Option<DateTime<Utc>>) -> bool {
        self.end.is_none_or(|last| begin < last) && end.is_none_or(|end| self.begin < end)
    }

    /// Whether it was in force at some moment from `begin` on and before `now`.
    fn held_between(&self, begin: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        begin < now && self.meets(begin, Some(now))
    }

    /// Whether no price of the key may have this term: it would begin at the same moment or, if both go on from now,
    /// within this one, which has an end, or this one would begin within it.
    fn excludes(&self, begin: DateTime<Utc>, end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        let go_on = [self.end, end].into_iter().flatten().all(|end| now < end);
        let inside = self.end.is_some_and(|last| self.begin < begin && begin < last);
        let around = end.is_some_and(|end| begin < self.begin && self.begin < end);
        self.begin == begin || go_on && (inside || around)
    }
}
