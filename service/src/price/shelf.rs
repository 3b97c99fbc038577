//! Where prices stand in a book: one history a key, found by model, provider or glob without going over the others.

use super::{book::Entry, sharded::Sharded};
use crate::meter;
use chrono::{DateTime, Utc};
use entity::id::PriceId;
use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, iter, sync::Arc};

/// The prices of one key, in the order in which they begin.
#[derive(Debug, Clone, Default)]
pub struct History(Vec<Arc<Entry>>);

impl History {
    fn new(mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by_key(|entry| (entry.effective_from, entry.id));
        Self(entries)
    }

    fn put(&mut self, entry: &Arc<Entry>) {
        let place = (entry.effective_from, entry.id);
        let at = self.0.partition_point(|other| (other.effective_from, other.id) < place);
        self.0.insert(at, entry.clone());
    }

    fn take(&mut self, id: PriceId) {
        self.0.retain(|entry| entry.id != id);
    }

    /// Of the prices that hold at a moment, the one that began last.
    pub fn at(&self, moment: DateTime<Utc>) -> Option<&Arc<Entry>> {
        let begun = self.0.partition_point(|entry| entry.effective_from <= moment);
        self.0.get(..begun)?.iter().rfind(|entry| entry.effective_until.is_none_or(|until| moment < until))
    }

    /// All of them, the latest first.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.iter().rev()
    }
}

/// The histories of one model or glob: the one without provider first, then by provider.
#[derive(Debug, Default, Clone)]
pub struct Shelf(Vec<(Option<Arc<str>>, Arc<History>)>);

impl Shelf {
    fn put(&mut self, provider: Option<Arc<str>>, history: Arc<History>) {
        let at = self.0.partition_point(|(other, _)| *other < provider);
        match self.0.get_mut(at).filter(|(other, _)| *other == provider) {
            // Another spelling of the same name: one history, in which the price that begins last holds.
            Some((_, there)) => history.0.iter().for_each(|entry| Arc::make_mut(there).put(entry)),
            None => self.0.insert(at, (provider, history)),
        }
    }

    fn put_entry(&mut self, entry: &Arc<Entry>) {
        let at = self.0.partition_point(|(other, _)| *other < entry.provider);
        match self.0.get_mut(at).filter(|(other, _)| *other == entry.provider) {
            Some((_, history)) => Arc::make_mut(history).put(entry),
            None => self.0.insert(at, (entry.provider.clone(), Arc::new(History(vec![entry.clone()])))),
        }
    }

    fn take_entry(&mut self, entry: &Entry) {
        for (_, history) in self.0.iter_mut().filter(|(provider, _)| *provider == entry.provider) {
            Arc::make_mut(history).take(entry.id);
        }
        self.0.retain(|(_, history)| !history.0.is_empty());
    }

    /// The history of exactly this provider; of none, that of the prices without one.
    pub fn of(&self, provider: Option<&str>) -> Option<&History> {
        let at = self.0.binary_search_by(|(other, _)| other.as_deref().cmp(&provider)).ok()?;
        self.0.get(at).map(|(_, history)| &**history)
    }

    /// Every history with its provider.
    pub fn all(&self) -> impl Iterator<Item = (Option<&str>, &History)> {
        self.0.iter().map(|(provider, history)| (provider.as_deref(), &**history))
    }

    /// What suits a provider: its own history, then the one without provider. Where no provider is named, every history.
    pub fn suiting(&self, provider: Option<&str>) -> impl Iterator<Item = &History> {
        let own = provider.and_then(|name| self.of(Some(name)));
        let others = self.all().filter(move |(other, _)| provider.is_none() || other.is_none());
        own.into_iter().chain(others.map(|(_, history)| history))
    }
}

/// What a price is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The model, with every alias followed, folded.
    pub model: &'a str,
    /// The provider, if it is named apart from the model.
    pub provider: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// The provider that the model's name begins with, and the rest, unless another provider is named apart.
    pub fn split(self) -> Option<(&'a str, &'a str)> {
        let same = |(name, _): &(&str, &str)| self.provider.is_none_or(|provider| provider == *name);
        self.model.split_once('/').filter(same)
    }

    fn provider_in_name(self) -> Option<&'a str> {
        self.split().map(|(provider, _)| provider)
    }
}

/// The prices of one scope.
#[derive(Debug, Default, Clone)]
pub struct Shelves {
    exact: Sharded<Arc<str>, Shelf>,
    /// Prices whose model begins with their own provider's name, by the rest: `azure/gpt-4o` of azure by `gpt-4o`.
    short: Sharded<Arc<str>, Shelf>,
    globs: Globs,
    defaults: Shelf,
}

/// The rest of a model's name that begins with the price's own provider.
fn rest(entry: &Entry) -> Option<Arc<str>> {
    let model = meter::fold(entry.model.as_deref().filter(|model| !model.contains('*'))?);
    Some(model.strip_prefix(entry.provider.as_deref()?)?.strip_prefix('/')?.into())
}

impl Shelves {
    /// Puts the prices in their places, those of one key together.
    pub fn new(keys: impl IntoIterator<Item = Vec<Arc<Entry>>>) -> Self {
        let mut shelves = Self::default();
        for entries in keys {
            let Some(first) = entries.first().cloned() else { continue };
            let (provider, history) = (first.provider.clone(), Arc::new(History::new(entries)));
            if let Some(rest) = rest(&first) {
                shelves.short.entry(rest).put(provider.clone(), history.clone());
            }
            shelves.change(&first, |shelf| shelf.put(provider, history));
        }
        shelves
    }

    /// Puts one more price in its place.
    pub fn put(&mut self, entry: &Arc<Entry>) {
        if let Some(rest) = rest(entry) {
            self.short.entry(rest).put_entry(entry);
        }
        self.change(entry, |shelf| shelf.put_entry(entry));
    }

    /// Takes a price from its place.
    pub fn take(&mut self, entry: &Entry) {
        if let Some(rest) = rest(entry) {
            let shelf = self.short.entry(rest.clone());
            shelf.take_entry(entry);
            if shelf.0.is_empty() {
                self.short.remove(&rest);
            }
        }
        self.change(entry, |shelf| shelf.take_entry(entry));
    }

    /// Changes the shelf that a price stands on; an empty one is none.
    fn change(&mut self, entry: &Entry, change: impl FnOnce(&mut Shelf)) {
        let Some(model) = &entry.model else { return change(&mut self.defaults) };
        let model: Arc<str> = match meter::fold(model) {
            Cow::Borrowed(same) if same.len() == model.len() => model.clone(),
            folded => folded.into(),
        };
        if model.contains('*') {
            return self.globs.change(&model, change);
        }
        let shelf = self.exact.entry(model.clone());
        change(shelf);
        if shelf.0.is_empty() {
            self.exact.remove(&model);
        }
    }

    /// Whether there is no price.
    pub fn is_empty(&self) -> bool {
        self.exact.len() == 0 && self.globs.heads.len() == 0 && self.defaults.0.is_empty()
    }

    /// The prices of a model whose name, folded, is this.
    pub fn exact(&self, model: &str) -> Option<&Shelf> {
        self.exact.get(model)
    }

    /// Every model with a price of its own, folded.
    pub fn models(&self) -> impl Iterator<Item = (&Arc<str>, &Shelf)> {
        self.exact.iter()
    }

    /// Prices for this model at this provider, the name as it is written first.
    pub fn provider_model<'s>(&'s self, asked: Asked<'s>) -> impl Iterator<Item = &'s History> {
        let provider = asked.provider.or(asked.provider_in_name());
        let written = self.exact(asked.model);
        let rest = asked.split().and_then(|(_, rest)| self.exact(rest));
        let short = asked.provider.and_then(|_| self.short.get(asked.model));
        let shelves = [written, rest, short].into_iter().flatten();
        shelves.filter_map(move |shelf| provider.and_then(|provider| shelf.of(Some(provider))))
    }

    /// Prices for this model whoever serves it; where no provider is named, those of every provider.
    pub fn model<'s>(&'s self, asked: Asked<'s>) -> impl Iterator<Item = &'s History> {
        let in_name = asked.provider_in_name();
        let suits = move |provider: Option<&str>| match asked.provider {
            Some(_) => provider.is_none(),
            None => provider.is_none() || provider != in_name,
        };
        let all = self.exact(asked.model).into_iter().flat_map(Shelf::all);
        let written = all.filter(move |(provider, _)| suits(*provider)).map(|(_, history)| history);
        let rest = asked.split().and_then(|(_, rest)| self.exact(rest)?.of(None));
        written.chain(rest)
    }

    /// Prices of globs that match, the longest literal first; at the same glob, the name as it is written first.
    pub fn glob<'s>(&'s self, asked: Asked<'s>) -> impl Iterator<Item = &'s History> {
        let rest = asked.split().map(|(provider, rest)| (rest, Some(provider)));
        let names = iter::once((asked.model, asked.provider)).chain(rest);
        self.globs.matching(names).flat_map(|(glob, provider)| glob.shelf.suiting(provider))
    }

    /// Default prices: the provider's, then the general one.
    pub fn defaults<'s>(&'s self, asked: Asked<'s>) -> impl Iterator<Item = &'s History> {
        let provider = asked.provider.or(asked.provider_in_name());
        let own = provider.and_then(|provider| self.defaults.of(Some(provider)));
        own.into_iter().chain(self.defaults.of(None))
    }

    /// Prices that would suit if they were not another provider's than the one named.
    pub fn elsewhere<'s>(&'s self, asked: Asked<'s>) -> impl Iterator<Item = &'s History> {
        let exact = self.exact(asked.model).into_iter();
        let globs = self.globs.matching([(asked.model, ())]).map(|(glob, ())| &*glob.shelf);
        let all = exact.chain(globs).flat_map(Shelf::all);
        let other =
            move |name: Option<&str>| name.is_some() && asked.provider.is_some() && name != asked.provider;
        all.filter(move |(provider, _)| other(*provider)).map(|(_, history)| history)
    }
}

/// Prices of globs. They are found by the literal text before their first star, so that of thousands only those are
/// tried that begin as the model does.
#[derive(Debug, Default, Clone)]
struct Globs {
    /// By the text before the first star.
    heads: Sharded<Box<str>, Vec<Glob>>,
    /// How many of these texts have each length.
    lengths: BTreeMap<usize, usize>,
}

/// The prices of one glob.
#[derive(Debug, Clone)]
struct Glob {
    pattern: Arc<str>,
    /// Characters that are not stars: the more, the closer it describes a model.
    literal: usize,
    shelf: Arc<Shelf>,
}

fn head(glob: &str) -> &str {
    glob.split('*').next().unwrap_or_default()
}

impl Globs {
    /// Changes the shelf of a glob; an empty one is none.
    fn change(&mut self, glob: &Arc<str>, change: impl FnOnce(&mut Shelf)) {
        let head = head(glob);
        let globs = self.heads.entry(head.into());
        let first = globs.is_empty();
        let at = globs.partition_point(|other| other.pattern < *glob);
        if globs.get(at).is_none_or(|other| other.pattern != *glob) {
            let literal = glob.chars().filter(|c| *c != '*').count();
            globs.insert(at, Glob { pattern: glob.clone(), literal, shelf: Arc::default() });
        }
        if let Some(one) = globs.get_mut(at) {
            change(Arc::make_mut(&mut one.shelf));
        }
        globs.retain(|one| one.pattern != *glob || !one.shelf.0.is_empty());
        let empty = globs.is_empty();
        if empty {
            self.heads.remove(head);
        }
        let count = self.lengths.entry(head.len()).or_default();
        *count = (*count + usize::from(first)).saturating_sub(usize::from(empty));
        if *count == 0 {
            self.lengths.remove(&head.len());
        }
    }

    /// The globs that begin as the model does.
    fn tried<'s>(&'s self, model: &str) -> impl Iterator<Item = &'s Glob> {
        let begins = self.lengths.range(..=model.len());
        begins.filter_map(|(length, _)| self.heads.get(model.get(..*length)?)).flatten()
    }

    /// The globs that match one of these names, the longest literal first, each with what goes with the name.
    fn matching<'s, 'n, T: Copy>(
        &'s self,
        names: impl IntoIterator<Item = (&'n str, T)>,
    ) -> impl Iterator<Item = (&'s Glob, T)> {
        let found = names.into_iter().enumerate().flat_map(|(n, (name, with))| {
            let globs = self.tried(name).filter(|one| meter::matches(&one.pattern, name));
            globs.map(|one| (one, n, with)).collect::<Vec<_>>()
        });
        let mut found: Vec<_> = found.collect();
        found.sort_by(|(one, n, _), (other, m, _)| {
            let place = |glob: &Glob| Reverse(glob.literal);
            (place(one), &one.pattern, n).cmp(&(place(other), &other.pattern, m))
        });
        found.into_iter().map(|(one, _, with)| (one, with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(names: impl IntoIterator<Item = String>) -> Globs {
        let mut globs = Globs::default();
        for name in names {
            globs.change(&name.into(), |shelf| shelf.put(None, Arc::default()));
        }
        globs
    }

    #[test]
    fn only_globs_that_begin_as_the_model_does_are_tried() {
        let many = (0..5000).map(|n| format!("vendor-{n}-*a*a*a*a*a*a*a*b"));
        let globs = globs(many.chain(["*-mini".into(), "日*".into()]));
        for (model, tried) in
            [("vendor-77-aaaa", 2), ("gpt-4o-mini", 1), ("日本", 2), ("", 1), ("\u{65e5}", 2)]
        {
            assert_eq!(globs.tried(model).count(), tried, "{model}");
        }
        assert_eq!(globs.tried(&"a".repeat(100_000)).count(), 1);
    }

    #[test]
    fn of_those_that_match_the_longest_literal_is_first() {
        let globs = globs(["*", "gpt-*", "*-mini", "gpt-4o*", "gpt-4o-*i", "g*p*t*"].map(Into::into));
        let order: Vec<&str> =
            globs.matching([("gpt-4o-mini", ())]).map(|(glob, ())| &*glob.pattern).collect();
        assert_eq!(order, ["gpt-4o-*i", "gpt-4o*", "*-mini", "gpt-*", "g*p*t*", "*"]);
        assert_eq!(globs.matching([("o3-mini", ())]).count(), 2);
    }
}
