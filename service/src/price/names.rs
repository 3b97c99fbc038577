//! [`Names`]: all names of a model that is called: the requested one, those without a provider's prefix, those that aliases
//! lead to, and what the upstream of the connection calls it. They are compared folded. Whatever goes by the name of a model,
//! a rule or a limit, goes by all of them, so that no other spelling gets round it.

use super::{
    book::ModelFacts,
    resolve::{Doubt, Prices, Wanted, Winner},
};
use crate::{mapping, meter::fold};
use entity::{id::ConnectionId, model_mapping};
use sea_orm::DerivePartialModel;
use std::{borrow::Cow, iter};

/// What clients call a model, and what the upstream of a connection calls it.
#[derive(Debug, Clone, PartialEq, Eq, DerivePartialModel)]
#[sea_orm(entity = "model_mapping::Entity")]
pub struct Mapping {
    /// The connection.
    pub connection_id: ConnectionId,
    /// What clients call it.
    pub client_name: String,
    /// What the upstream calls it.
    pub upstream_name: String,
    /// Whether it is used.
    pub enabled: bool,
}

impl From<mapping::Mapping> for Mapping {
    fn from(shown: mapping::Mapping) -> Self {
        let mapping::Mapping { connection_id, client_name, upstream_name, enabled, .. } = shown;
        Self { connection_id, client_name, upstream_name, enabled }
    }
}

/// All names of a model that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Folded, each once.
    all: Vec<String>,
    /// The requested one, and where aliases lead from it step by step, as they are written.
    chain: Vec<String>,
    /// Where aliases lead from names without their prefixes.
    ends: Vec<String>,
    /// What the upstream of the connection calls it.
    upstream: Option<String>,
    /// Why nothing may be called by it.
    disabled: Option<String>,
}

/// A name, folded, and what is left of it without one prefix after another.
fn without_prefixes(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let names = iter::successors(Some(name), |name| name.split_once('/').map(|(_, rest)| rest));
    names.map(fold).filter(|name| !name.is_empty())
}

impl Names {
    /// The names of a model as far as they are told by the requested one alone.
    pub fn plain(model: &str) -> Self {
        let mut names = Self {
            all: Vec::new(),
            chain: vec![model.to_owned()],
            ends: Vec::new(),
            upstream: None,
            disabled: None,
        };
        names.add(model);
        names
    }

    /// Adds a name, and what it is without its prefixes.
    fn add(&mut self, name: &str) {
        for name in without_prefixes(name) {
            if !self.has(&name) {
                self.all.push(name.into_owned());
            }
        }
    }

    /// All of them, folded.
    pub fn all(&self) -> impl Iterator<Item = &str> + Clone {
        self.all.iter().map(String::as_str)
    }

    /// Whether a folded name is one of them.
    pub fn has(&self, name: &str) -> bool {
        self.all.iter().any(|own| own == name)
    }

    /// Those that the requested one does not tell by itself.
    pub fn beyond_plain(&self) -> Vec<String> {
        let plain = Self::plain(self.requested());
        self.all.iter().filter(|name| !plain.has(name)).cloned().collect()
    }

    /// Adds names that were noted earlier.
    pub fn join(&mut self, names: impl IntoIterator<Item = String>) {
        names.into_iter().for_each(|name| self.add(&name));
    }

    /// The name that was requested, as it is written.
    pub fn requested(&self) -> &str {
        self.chain.first().map_or("", String::as_str)
    }

    /// The name that it is served by, as far as that is known.
    pub fn resolved(&self) -> &str {
        self.upstream.as_deref().or(self.chain.last().map(String::as_str)).unwrap_or_default()
    }

    /// Why nothing may be called by it, if so.
    pub fn disabled(&self) -> Option<&str> {
        self.disabled.as_deref()
    }

    /// The mapping of one of them. The requested one is looked for first, and a mapping that is in use before one that is not.
    pub fn mapping<'m>(&self, mappings: &'m [Mapping]) -> Option<&'m Mapping> {
        let mut found = self.mappings(mappings);
        let first = found.next()?;
        if first.enabled { Some(first) } else { found.find(|mapping| mapping.enabled).or(Some(first)) }
    }

    /// The mappings of all names, that of the requested one first.
    fn mappings<'m>(&self, mappings: &'m [Mapping]) -> impl Iterator<Item = &'m Mapping> {
        let named = |name: &str| {
            let same = mappings.iter().filter(|mapping| fold(&mapping.client_name) == fold(name));
            // Of those that differ in case alone, the one that is written so.
            same.min_by_key(|mapping| (mapping.client_name != name, &mapping.client_name))
        };
        self.chain.iter().map(String::as_str).chain(self.all()).filter_map(named)
    }

    /// Adds what a connection calls the model, or notes that it does not serve it. A mapping that is disabled lets nothing
    /// through, by whichever name it is reached, also where a mapping of another name is in use.
    pub fn map(&mut self, mappings: &[Mapping]) {
        let shut = self.mappings(mappings).find(|mapping| !mapping.enabled);
        if let Some(shut) = shut {
            let reason = || format!("the mapping of {} is disabled", shut.client_name);
            self.disabled.get_or_insert_with(reason);
        }
        if let Some(mapping) = self.mapping(mappings).filter(|mapping| mapping.enabled) {
            self.add(&mapping.upstream_name);
            self.upstream = Some(mapping.upstream_name.clone());
        }
    }

    /// The names that aliases lead to, each from the one before, from the requested one to the last.
    pub fn chain(&self) -> &[String] {
        &self.chain
    }

    /// Names to find a price by, the nearest to what serves it first.
    fn priced(&self) -> impl Iterator<Item = &str> {
        let chain = self.chain.last();
        self.upstream.iter().chain(chain).chain(&self.ends).map(String::as_str)
    }

    /// The price that holds. A price of one of the names goes before one of another spelling, that before a guess, and a guess
    /// before a default.
    pub fn winner(&self, prices: &Prices, wanted: &Wanted<'_>) -> Option<Winner> {
        self.found(prices, wanted).map(|(_, winner)| winner)
    }

    /// The same, with the name that it was found by.
    pub(super) fn found(&self, prices: &Prices, wanted: &Wanted<'_>) -> Option<(Cow<'_, str>, Winner)> {
        // Where the provider is known, a prefix names none, and the name without it is that provider's as well.
        let spelled = self.chain.last().filter(|_| wanted.provider.is_some());
        let rests = spelled.into_iter().flat_map(|name| without_prefixes(name).skip(1));
        let mut best = None::<(Cow<'_, str>, Winner)>;
        for name in self.priced().map(Cow::Borrowed).chain(rests) {
            let Some(winner) = prices.winner_of(&name, wanted) else { continue };
            if winner.doubt() == Doubt::None {
                return Some((name, winner));
            }
            if best.as_ref().is_none_or(|(_, best)| winner.doubt() < best.doubt()) {
                best = Some((name, winner));
            }
        }
        best
    }

    /// What is known of the model.
    pub fn facts(&self, prices: &Prices) -> Option<ModelFacts> {
        self.priced().find_map(|name| prices.model_of(name))
    }
}

impl Prices {
    /// All names of a model, but for those that a connection gives it.
    pub fn names(&self, model: &str) -> Names {
        let mut names = Names::plain(model);
        for step in self.aliases(model) {
            names.chain.push(step.to_owned());
            names.add(step);
        }
        for name in &names.chain {
            if let Some(alias) = self.organization.alias_of(name).filter(|alias| !alias.enabled) {
                names.disabled = Some(format!("the alias {} is disabled", alias.name));
            }
        }
        // From names without their prefixes, aliases lead on as well, and a disabled one lets nothing through; each is
        // followed once. Those of the chain are followed already, by how they are written.
        let chained: Vec<_> = names.chain.iter().map(|name| fold(name).into_owned()).collect();
        let mut next = 0;
        while let Some(name) = names.all.get(next) {
            next += 1;
            let alias = if chained.contains(name) { None } else { self.organization.alias_of(name) };
            let Some(alias) = alias.filter(|alias| !names.has(&fold(&alias.target)) || !alias.enabled) else {
                continue;
            };
            if !alias.enabled {
                names.disabled.get_or_insert_with(|| format!("the alias {} is disabled", alias.name));
                continue;
            }
            let target = alias.target.to_string();
            names.add(&target);
            names.ends.insert(0, target);
        }
        names
    }

    /// Whether a glob matches the name of anything that has a price, is in a catalogue, or is an alias.
    pub fn knows(&self, glob: &str) -> bool {
        let glob = fold(glob);
        let fits = |name: &str| without_prefixes(name).any(|name| crate::meter::matches(&glob, &name));
        [&self.organization, &self.platform].into_iter().any(|book| book.names().any(|name| fits(&name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn names_lose_their_prefixes_one_after_another() {
        let names = Names::plain(" OpenRouter/OpenAI/ GPT-4o ");
        assert_eq!(
            names.all().collect::<Vec<_>>(),
            ["openrouter/openai/ gpt-4o", "openai/ gpt-4o", "gpt-4o"]
        );
        assert!(names.beyond_plain().is_empty());
        assert_eq!(Names::plain("a//").all().collect::<Vec<_>>(), ["a//", "/"]);
    }

    #[test]
    fn upstream_name_counts_and_is_what_serves() {
        let mut names = Names::plain("fast");
        names.map(&[Mapping {
            connection_id: ConnectionId::new(Uuid::nil()),
            client_name: "Fast".into(),
            upstream_name: "azure/GPT-4o".into(),
            enabled: true,
        }]);
        assert_eq!(names.beyond_plain(), ["azure/gpt-4o", "gpt-4o"]);
        assert_eq!((names.requested(), names.resolved()), ("fast", "azure/GPT-4o"));
    }
}
