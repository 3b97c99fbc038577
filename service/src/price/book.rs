//! [`Book`]: the price book of one scope, an organization or the platform, compiled for resolving: every price, past and
//! future ones too, its aliases and its models. It never changes; a change makes another book.

use super::{
    Level, Price,
    family::Families,
    shelf::{Asked, Shelves},
};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    id::{ConnectionId, OrganizationId, PriceId},
    json::Capabilities,
    model, model_alias, price,
    status::{Origin, PriceKind},
    terms::Terms,
};
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

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

/// What is known of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts {
    /// What it can do.
    pub capabilities: Capabilities,
    /// Tokens of prompt and completion together.
    pub context_window: Option<i64>,
    /// Tokens of a completion.
    pub max_output_tokens: Option<i64>,
}

impl ModelFacts {
    /// Whether a call of it may be answered with a completion, as far as is known.
    pub fn writes(&self) -> bool {
        let can = &self.capabilities;
        let makes = can.image_generation || can.audio_generation || can.video_generation || can.realtime;
        *can == Capabilities::default() || can.chat || can.completion || makes
    }

    fn larger(self, other: Self) -> Self {
        Self {
            capabilities: if self.writes() { self.capabilities } else { other.capabilities },
            context_window: self.context_window.max(other.context_window),
            max_output_tokens: self.max_output_tokens.max(other.max_output_tokens),
        }
    }
}

/// The price book of one scope.
#[derive(Debug, Default)]
pub struct Book {
    prices: HashMap<PriceId, Arc<Entry>>,
    own: Shelves,
    connections: HashMap<ConnectionId, Shelves>,
    families: Families,
    aliases: HashMap<Box<str>, Box<str>>,
    models: HashMap<Box<str>, Vec<(Arc<str>, ModelFacts)>>,
    rows: usize,
}

impl Book {
    /// The prices of the scope itself.
    pub(super) fn own(&self) -> &Shelves {
        &self.own
    }

    /// The price with this id, whether or not it is in force: what was charged names it.
    pub fn price(&self, id: PriceId) -> Option<&Arc<Entry>> {
        self.prices.get(&id)
    }

    /// The prices of one connection.
    pub(super) fn connection(&self, id: ConnectionId) -> Option<&Shelves> {
        self.connections.get(&id)
    }

    /// Models by their likeness.
    pub(super) fn families(&self) -> &Families {
        &self.families
    }

    /// Where an alias leads.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(AsRef::as_ref)
    }

    /// What is known of a model at its provider; where no provider is named, at the first by name.
    pub fn model(&self, model: &str, provider: Option<&str>) -> Option<&ModelFacts> {
        let at = |model: &str, provider: Option<&str>| {
            let mut models = self.models.get(model)?.iter();
            models.find(|(name, _)| provider.is_none_or(|p| p == &**name)).map(|(_, facts)| facts)
        };
        let in_name = Asked { model, provider }.split();
        at(model, provider).or_else(|| in_name.and_then(|(provider, rest)| at(rest, Some(provider))))
    }

    /// What is known of a model, wherever it is served: the largest figures of all its providers.
    pub fn largest(&self, model: &str) -> Option<ModelFacts> {
        let in_name = Asked { model, provider: None }.split();
        let here = self.models.get(model).into_iter().flatten().map(|(_, facts)| *facts);
        let there = in_name.and_then(|(provider, rest)| self.model(rest, Some(provider)).copied());
        here.chain(there).reduce(ModelFacts::larger)
    }

    /// How many rows of the database it was made of.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

type Key = (Option<ConnectionId>, Option<Arc<str>>, Option<Arc<str>>);

/// A book in the making.
#[derive(Debug, Default)]
pub struct Binder {
    keys: HashMap<Key, Vec<Arc<Entry>>>,
    terms: HashSet<Arc<Terms>>,
    words: HashSet<Arc<str>>,
    book: Book,
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

impl Binder {
    fn word(&mut self, text: String) -> Arc<str> {
        once(&mut self.words, text)
    }

    /// Takes a price in.
    pub fn price(&mut self, row: price::Model) {
        let provider = row.provider.map(|text| self.word(text));
        let model = row.model.map(|text| self.word(text));
        let entry = Entry {
            id: row.id,
            organization_id: row.organization_id,
            connection_id: row.connection_id,
            provider: provider.clone(),
            model: model.clone(),
            kind: row.kind,
            currency: self.word(row.currency),
            terms: once(&mut self.terms, Arc::new(row.terms)),
            markup_bps: row.markup_bps,
            effective_from: row.effective_from,
            effective_until: row.effective_until,
            origin: row.origin,
            source: row.source.map(|text| self.word(text)),
            sourced_on: row.sourced_on,
            note: row.note.map(|text| self.word(text)),
            created_by: self.word(row.created_by),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        let entry = Arc::new(entry);
        self.book.prices.insert(entry.id, entry.clone());
        self.keys.entry((row.connection_id, provider, model)).or_default().push(entry);
        self.book.rows += 1;
    }

    /// Takes a model in.
    pub fn model(&mut self, row: model::Model) {
        let facts = ModelFacts {
            capabilities: row.capabilities,
            context_window: row.context_window,
            max_output_tokens: row.max_output_tokens,
        };
        let provider = self.word(row.provider);
        let models = self.book.models.entry(row.name.into()).or_default();
        let at = models.partition_point(|(other, _)| *other < provider);
        models.insert(at, (provider, facts));
        self.book.rows += 1;
    }

    /// Takes an alias in, if it leads anywhere.
    pub fn alias(&mut self, row: model_alias::Model) {
        if row.enabled {
            self.book.aliases.insert(row.name.into(), row.target.into());
        }
        self.book.rows += 1;
    }

    /// The book. Only the platform's prices are chosen from by likeness.
    pub fn finish(self, organization: OrganizationId) -> Book {
        let mut scopes: HashMap<Option<ConnectionId>, Vec<Vec<Arc<Entry>>>> = HashMap::new();
        for ((connection, ..), entries) in self.keys {
            scopes.entry(connection).or_default().push(entries);
        }
        let own = Shelves::new(scopes.remove(&None).unwrap_or_default());
        let connections = scopes.into_iter().filter_map(|(id, keys)| Some((id?, Shelves::new(keys))));
        let connections = connections.collect();
        let families = if organization == OrganizationId::PLATFORM {
            Families::new(own.models())
        } else {
            Families::default()
        };
        Book { own, connections, families, ..self.book }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::id::ModelId;

    fn row(provider: &str, name: &str, max_output_tokens: i64) -> model::Model {
        model::Model {
            id: ModelId::new(uuid::Uuid::nil()),
            organization_id: OrganizationId::PLATFORM,
            provider: provider.into(),
            name: name.into(),
            capabilities: Capabilities::default(),
            context_window: None,
            max_output_tokens: Some(max_output_tokens),
            deprecated: false,
            deprecated_on: None,
            origin: Origin::Manual,
            source: None,
            sourced_on: None,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_model_is_found_at_its_provider() {
        for turned in [false, true] {
            let mut rows =
                [row("openai", "gpt-4o", 1), row("azure", "gpt-4o", 2), row("azure", "azure/o3", 3)];
            if turned {
                rows.reverse();
            }
            let mut binder = Binder::default();
            rows.into_iter().for_each(|row| binder.model(row));
            let book = binder.finish(OrganizationId::PLATFORM);
            assert_eq!(book.rows(), 3);
            for (model, provider, expected) in [
                ("gpt-4o", Some("openai"), Some(1)),
                ("gpt-4o", Some("azure"), Some(2)),
                ("gpt-4o", Some("groq"), None),
                ("gpt-4o", None, Some(2)),
                ("openai/gpt-4o", None, Some(1)),
                ("openai/gpt-4o", Some("openai"), Some(1)),
                ("azure/o3", None, Some(3)),
                ("azure/o3", Some("azure"), Some(3)),
                ("o3", None, None),
            ] {
                let found = book.model(model, provider).and_then(|facts| facts.max_output_tokens);
                assert_eq!(found, expected, "{model} {provider:?}");
            }
        }
    }
}
