//! [`Book`]: the price book of one scope, an organization or the platform, compiled for resolving: every price, past and
//! future ones too, its aliases and its models, found by their folded names. It never changes; an edit makes another book,
//! which shares all the rest with the one before.

use super::{
    entry::Words,
    family::Families,
    sharded::Sharded,
    shelf::{Asked, Shelves},
};
use crate::meter::fold;
use entity::{
    id::{ConnectionId, ModelAliasId, ModelId, OrganizationId, PriceId},
    json::Capabilities,
    model, model_alias, price,
};
use std::{borrow::Cow, collections::HashMap, iter, sync::Arc};

pub use super::entry::Entry;

/// About how many bytes of memory a model or an alias takes.
const OTHER: usize = 320;

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

/// Where a name leads.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    id: ModelAliasId,
    /// As it is written.
    pub(super) name: Box<str>,
    pub(super) target: Box<str>,
    /// Whether it leads anywhere: nothing may be called by one that is disabled.
    pub(super) enabled: bool,
}

/// A model at its provider.
type ModelAt = (Arc<str>, ModelId, ModelFacts);

/// The price book of one scope.
#[derive(Debug, Default, Clone)]
pub struct Book {
    prices: Sharded<PriceId, Arc<Entry>>,
    own: Shelves,
    connections: Sharded<ConnectionId, Arc<Shelves>>,
    /// Of the platform's book alone: its prices are chosen from by likeness.
    families: Option<Families>,
    /// By the folded name; those that differ only in how they are written, in the order of their names.
    aliases: Sharded<Box<str>, Vec<Alias>>,
    alias_names: Sharded<ModelAliasId, Box<str>>,
    models: Sharded<Box<str>, Vec<ModelAt>>,
    model_names: Sharded<ModelId, (Box<str>, Arc<str>)>,
    weight: usize,
}

/// Rows of a book as they are now; none = deleted.
#[derive(Debug, Default)]
pub struct Edits {
    /// Prices.
    pub prices: Vec<(PriceId, Option<price::Model>)>,
    /// Models.
    pub models: Vec<(ModelId, Option<model::Model>)>,
    /// Aliases.
    pub aliases: Vec<(ModelAliasId, Option<model_alias::Model>)>,
}

impl Edits {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.prices.len() + self.models.len() + self.aliases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
        self.connections.get(&id).map(AsRef::as_ref)
    }

    /// Models by their likeness.
    pub(super) fn families(&self) -> Option<&Families> {
        self.families.as_ref()
    }

    /// Where an alias leads, if it is enabled.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        self.alias_of(name).filter(|alias| alias.enabled).map(|alias| &*alias.target)
    }

    /// The alias of a name: the one that is written so, else the first that is written otherwise.
    pub(super) fn alias_of(&self, name: &str) -> Option<&Alias> {
        let aliases = self.aliases.get(&*fold(name))?;
        aliases.iter().find(|alias| &*alias.name == name).or(aliases.first())
    }

    /// Every name that is known, folded: of models, of prices, of aliases and what they lead to.
    pub(super) fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let shelves = iter::once(&self.own).chain(self.connections.iter().map(|(_, shelves)| &**shelves));
        let priced = shelves.flat_map(Shelves::models).map(|(name, _)| Cow::Borrowed(&**name));
        let models = self.models.iter().map(|(name, _)| Cow::Borrowed(&**name));
        let aliases = self.aliases.iter().flat_map(|(_, aliases)| aliases);
        priced.chain(models).chain(aliases.flat_map(|alias| [fold(&alias.name), fold(&alias.target)]))
    }

    /// What is known of a model, by its folded name, at its provider; where no provider is named, at the first by name.
    pub fn model(&self, model: &str, provider: Option<&str>) -> Option<&ModelFacts> {
        let at = |model: &str, provider: Option<&str>| {
            let mut models = self.models.get(model)?.iter();
            models.find(|(name, ..)| provider.is_none_or(|p| p == &**name)).map(|(.., facts)| facts)
        };
        let in_name = Asked { model, provider }.split();
        at(model, provider).or_else(|| in_name.and_then(|(provider, rest)| at(rest, Some(provider))))
    }

    /// What is known of a model, by its folded name, wherever it is served: the largest figures of all its providers.
    pub fn largest(&self, model: &str) -> Option<ModelFacts> {
        let in_name = Asked { model, provider: None }.split();
        let here = self.models.get(model).into_iter().flatten().map(|(.., facts)| *facts);
        let there = in_name.and_then(|(provider, rest)| self.model(rest, Some(provider)).copied());
        here.chain(there).reduce(ModelFacts::larger)
    }

    /// How many rows of the database it was made of.
    pub fn rows(&self) -> usize {
        self.prices.len() + self.model_names.len() + self.alias_names.len()
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        self.weight + OTHER * (self.model_names.len() + self.alias_names.len() + 1)
    }

    /// The book with these rows as they are now. What is taken out goes first: a name may have passed from one row to another.
    #[must_use]
    pub fn edited(&self, edits: Edits) -> Self {
        let mut book = self.clone();
        let mut words = Words::default();
        let former: Vec<_> = edits.prices.iter().filter_map(|(id, _)| book.take_price(*id)).collect();
        edits.models.iter().for_each(|(id, _)| book.take_model(*id));
        edits.aliases.iter().for_each(|(id, _)| book.take_alias(*id));
        let rows = edits.prices.into_iter().filter_map(|(_, row)| row);
        let prices: Vec<_> = rows.map(|row| Arc::new(Entry::new(row, &mut words))).collect();
        for entry in &prices {
            book.shelves(entry.connection_id, |shelves| shelves.put(entry));
            book.note(entry);
        }
        edits.models.into_iter().filter_map(|(_, row)| row).for_each(|row| book.put_model(row, &mut words));
        edits.aliases.into_iter().filter_map(|(_, row)| row).for_each(|row| book.put_alias(row));
        let (own, families) = (&book.own, &mut book.families);
        let models = former.iter().chain(&prices).filter(|entry| entry.connection_id.is_none());
        for model in models.filter_map(|entry| entry.model.as_ref()) {
            let model: Arc<str> = fold(model).into();
            families.iter_mut().for_each(|families| families.follow(&model, own.exact(&model)));
        }
        book
    }

    fn shelves(&mut self, connection: Option<ConnectionId>, change: impl FnOnce(&mut Shelves)) {
        let Some(id) = connection else { return change(&mut self.own) };
        let shelves = self.connections.entry(id);
        change(Arc::make_mut(shelves));
        if shelves.is_empty() {
            self.connections.remove(&id);
        }
    }

    fn note(&mut self, entry: &Arc<Entry>) {
        self.weight += entry.weight();
        if let Some(former) = self.prices.insert(entry.id, entry.clone()) {
            self.weight = self.weight.saturating_sub(former.weight());
        }
    }

    fn take_price(&mut self, id: PriceId) -> Option<Arc<Entry>> {
        let entry = self.prices.remove(&id)?;
        self.weight = self.weight.saturating_sub(entry.weight());
        self.shelves(entry.connection_id, |shelves| shelves.take(&entry));
        Some(entry)
    }

    fn put_model(&mut self, row: model::Model, words: &mut Words) {
        let facts = ModelFacts {
            capabilities: row.capabilities,
            context_window: row.context_window,
            max_output_tokens: row.max_output_tokens,
        };
        let provider = words.word(row.provider);
        let name: Box<str> = fold(&row.name).into();
        self.model_names.insert(row.id, (name.clone(), provider.clone()));
        let models = self.models.entry(name);
        let at = models.partition_point(|(other, id, _)| (other, *id) < (&provider, row.id));
        models.insert(at, (provider, row.id, facts));
    }

    fn take_model(&mut self, id: ModelId) {
        let Some((name, _)) = self.model_names.remove(&id) else { return };
        let Some(models) = self.models.get_mut(&name) else { return };
        models.retain(|(_, other, _)| *other != id);
        if models.is_empty() {
            self.models.remove(&name);
        }
    }

    fn put_alias(&mut self, row: model_alias::Model) {
        let folded: Box<str> = fold(&row.name).into();
        self.alias_names.insert(row.id, folded.clone());
        let aliases = self.aliases.entry(folded);
        let (name, target) = (row.name.into(), row.target.into());
        let at = aliases.partition_point(|other| other.name < name);
        aliases.insert(at, Alias { id: row.id, name, target, enabled: row.enabled });
    }

    fn take_alias(&mut self, id: ModelAliasId) {
        let Some(name) = self.alias_names.remove(&id) else { return };
        let Some(aliases) = self.aliases.get_mut(&name) else { return };
        aliases.retain(|alias| alias.id != id);
        if aliases.is_empty() {
            self.aliases.remove(&name);
        }
    }
}

type Key = (Option<ConnectionId>, Option<Arc<str>>, Option<Arc<str>>);

/// A book in the making.
#[derive(Debug, Default)]
pub struct Binder {
    keys: HashMap<Key, Vec<Arc<Entry>>>,
    words: Words,
    book: Book,
}

impl Binder {
    /// Takes a price in.
    pub fn price(&mut self, row: price::Model) {
        let entry = Arc::new(Entry::new(row, &mut self.words));
        let key = (entry.connection_id, entry.provider.clone(), entry.model.clone());
        self.book.note(&entry);
        self.keys.entry(key).or_default().push(entry);
    }

    /// Takes a model in.
    pub fn model(&mut self, row: model::Model) {
        self.book.put_model(row, &mut self.words);
    }

    /// Takes an alias in.
    pub fn alias(&mut self, row: model_alias::Model) {
        self.book.put_alias(row);
    }

    /// The book. Only the platform's prices are chosen from by likeness.
    pub fn finish(self, organization: OrganizationId) -> Book {
        let mut scopes: HashMap<Option<ConnectionId>, Vec<Vec<Arc<Entry>>>> = HashMap::new();
        for ((connection, ..), entries) in self.keys {
            scopes.entry(connection).or_default().push(entries);
        }
        let own = Shelves::new(scopes.remove(&None).unwrap_or_default());
        let mut connections = Sharded::default();
        for (id, keys) in scopes.into_iter().filter_map(|(id, keys)| Some((id?, keys))) {
            connections.insert(id, Arc::new(Shelves::new(keys)));
        }
        let families = (organization == OrganizationId::PLATFORM).then(|| Families::new(own.models()));
        Book { own, connections, families, ..self.book }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use entity::status::Origin;

    fn row(provider: &str, name: &str, max_output_tokens: i64) -> model::Model {
        model::Model {
            id: ModelId::new(uuid::Uuid::from_u128(u128::from(max_output_tokens.unsigned_abs()))),
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
