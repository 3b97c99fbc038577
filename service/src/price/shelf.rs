//! Where prices stand in a book: one history a key, found by model, provider or glob without going over the others.

use super::book::Entry;
use crate::meter;
use chrono::{DateTime, Utc};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    iter,
    sync::Arc,
};

/// The prices of one key, in the order in which they begin.
#[derive(Debug)]
pub struct History(Vec<Arc<Entry>>);

impl History {
    fn new(mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by_key(|entry| (entry.effective_from, entry.id));
        Self(entries)
    }

    /// Of the prices that hold at a moment, the one that began last.
    pub fn at(&self, moment: DateTime<Utc>) -> Option<&Arc<Entry>> {
        let begun = self.0.partition_point(|entry| entry.effective_from <= moment);
        self.0[..begun].iter().rfind(|entry| entry.effective_until.is_none_or(|until| moment < until))
    }

    /// All of them, the latest first.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.iter().rev()
    }
}

/// The histories of one model or glob: the one without provider first, then by provider.
#[derive(Debug, Default)]
pub struct Shelf(Vec<(Option<Arc<str>>, Arc<History>)>);

impl Shelf {
    fn put(&mut self, provider: Option<Arc<str>>, history: Arc<History>) {
        let at = self.0.partition_point(|(other, _)| *other < provider);
        self.0.insert(at, (provider, history));
    }

    /// The history of exactly this provider; of none, that of the prices without one.
    pub fn of(&self, provider: Option<&str>) -> Option<&History> {
        let at = self.0.binary_search_by(|(other, _)| other.as_deref().cmp(&provider)).ok()?;
        Some(&self.0[at].1)
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
    /// The model, with every alias followed.
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
#[derive(Debug, Default)]
pub struct Shelves {
    exact: HashMap<Arc<str>, Shelf>,
    /// Prices whose model begins with their own provider's name, by the rest: `azure/gpt-4o` of azure by `gpt-4o`.
    short: HashMap<Arc<str>, Shelf>,
    globs: Globs,
    defaults: Shelf,
}

impl Shelves {
    /// Puts the prices in their places, those of one key together.
    pub fn new(keys: impl IntoIterator<Item = Vec<Arc<Entry>>>) -> Self {
        let mut shelves = Self::default();
        let mut globs: HashMap<Arc<str>, Shelf> = HashMap::new();
        for entries in keys {
            let Some(first) = entries.first().cloned() else { continue };
            let (provider, history) = (first.provider.clone(), Arc::new(History::new(entries)));
            match &first.model {
                None => shelves.defaults.put(provider, history),
                Some(glob) if glob.contains('*') => {
                    globs.entry(glob.clone()).or_default().put(provider, history);
                }
                Some(model) => shelves.put(model, provider, history),
            }
        }
        Self { globs: Globs::new(globs), ..shelves }
    }

    fn put(&mut self, model: &Arc<str>, provider: Option<Arc<str>>, history: Arc<History>) {
        let rest = provider.as_deref().and_then(|name| model.strip_prefix(name)?.strip_prefix('/'));
        if let Some(rest) = rest {
            self.short.entry(rest.into()).or_default().put(provider.clone(), history.clone());
        }
        self.exact.entry(model.clone()).or_default().put(provider, history);
    }

    /// The prices of a model whose name is written so.
    pub fn exact(&self, model: &str) -> Option<&Shelf> {
        self.exact.get(model)
    }

    /// Every model with a price of its own.
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
        self.globs.matching(names).flat_map(|(shelf, provider)| shelf.suiting(provider))
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
        let globs = self.globs.matching([(asked.model, ())]).map(|(shelf, ())| shelf);
        let all = exact.chain(globs).flat_map(Shelf::all);
        let other =
            move |name: Option<&str>| name.is_some() && asked.provider.is_some() && name != asked.provider;
        all.filter(move |(provider, _)| other(*provider)).map(|(_, history)| history)
    }
}

/// Prices of globs. They are found by the literal text before their first star, so that of thousands only those are
/// tried that begin as the model does.
#[derive(Debug, Default)]
struct Globs {
    all: Vec<(Arc<str>, Shelf)>,
    /// Places in `all`, by the length of the text before the first star, then by that text.
    heads: BTreeMap<usize, HashMap<Box<str>, Vec<usize>>>,
}

impl Globs {
    fn new(globs: HashMap<Arc<str>, Shelf>) -> Self {
        let literal = |glob: &str| glob.chars().filter(|c| *c != '*').count();
        let mut all: Vec<_> = globs.into_iter().collect();
        all.sort_by_cached_key(|(glob, _)| (Reverse(literal(glob)), glob.clone()));
        let mut heads: BTreeMap<usize, HashMap<Box<str>, Vec<usize>>> = BTreeMap::new();
        for (place, (glob, _)) in all.iter().enumerate() {
            let head = glob.split('*').next().unwrap_or_default();
            heads.entry(head.len()).or_default().entry(head.into()).or_default().push(place);
        }
        Self { all, heads }
    }

    /// The places of the globs that begin as the model does.
    fn tried(&self, model: &str) -> impl Iterator<Item = usize> {
        let begins = self.heads.range(..=model.len());
        begins.filter_map(|(length, heads)| heads.get(model.get(..*length)?)).flatten().copied()
    }

    /// The globs that match one of these names, each with what goes with the name.
    fn matching<'n, T: Copy>(
        &self,
        names: impl IntoIterator<Item = (&'n str, T)>,
    ) -> impl Iterator<Item = (&Shelf, T)> {
        let matches = |place: &usize, name: &str| meter::matches(&self.all[*place].0, name);
        let places = names.into_iter().enumerate().flat_map(|(n, (name, with))| {
            self.tried(name).filter(move |place| matches(place, name)).map(move |place| (place, n, with))
        });
        let mut places: Vec<_> = places.collect();
        places.sort_unstable_by_key(|(place, n, _)| (*place, *n));
        places.into_iter().map(|(place, _, with)| (&self.all[place].1, with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(globs: impl IntoIterator<Item = String>) -> Globs {
        Globs::new(globs.into_iter().map(|glob| (glob.into(), Shelf::default())).collect())
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
        let order: Vec<&str> = globs.all.iter().map(|(glob, _)| &**glob).collect();
        assert_eq!(order, ["gpt-4o-*i", "gpt-4o*", "*-mini", "gpt-*", "g*p*t*", "*"]);
        assert_eq!(globs.matching([("gpt-4o-mini", ())]).count(), 6);
        assert_eq!(globs.matching([("o3-mini", ())]).count(), 2);
    }
}
