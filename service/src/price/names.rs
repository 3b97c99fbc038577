//! [`Names`]: all names of a model that is called: the requested one, those without a provider's prefix, those that aliases
//! lead to, and what the upstream of the connection calls it. They are compared folded. Whatever goes by the name of a model,
//! a rule or a limit, goes by all of them, so that no other spelling gets round it.

use super::{
    book::ModelFacts,
    resolve::{Doubt, Prices, Wanted, Winner},
};
use crate::meter::fold;
use std::{borrow::Cow, iter};

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

    /// Names by which a connection may have a mapping of it, the requested one first.
    pub fn mapped_by(&self) -> impl Iterator<Item = &str> {
        self.chain.iter().map(String::as_str).chain(self.all())
    }

    /// Notes what the upstream calls it.
    pub fn set_upstream(&mut self, name: &str) {
        self.add(name);
        self.upstream = Some(name.to_owned());
    }

    /// Notes why nothing may be called by it; the first reason stays.
    pub fn disable(&mut self, reason: String) {
        self.disabled.get_or_insert(reason);
    }

    /// Names to find a price by, the nearest to what serves it first.
    fn priced(&self) -> impl Iterator<Item = &str> {
        let chain = self.chain.last();
        self.upstream.iter().chain(chain).chain(&self.ends).map(String::as_str)
    }

    /// The price that holds. A price of one of the names goes before one of another spelling, that before a guess, and a guess
    /// before a default.
    pub fn winner(&self, prices: &Prices, wanted: &Wanted<'_>) -> Option<Winner> {
        // Where the provider is known, a prefix names none, and the name without it is that provider's as well.
        let spelled = self.chain.last().filter(|_| wanted.provider.is_some());
        let rests = spelled.into_iter().flat_map(|name| without_prefixes(name).skip(1));
        let mut best = None::<Winner>;
        for name in self.priced().map(Cow::Borrowed).chain(rests) {
            let Some(winner) = prices.winner_of(&name, wanted) else { continue };
            if winner.doubt() == Doubt::None {
                return Some(winner);
            }
            if best.as_ref().is_none_or(|best| winner.doubt() < best.doubt()) {
                best = Some(winner);
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
        // From names without their prefixes, aliases lead on as well; each is followed once.
        let mut next = 0;
        while let Some(name) = names.all.get(next) {
            next += 1;
            let Some(target) = self.organization.alias(name).filter(|target| !names.has(&fold(target)))
            else {
                continue;
            };
            let target = target.to_owned();
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
        names.set_upstream("azure/GPT-4o");
        assert_eq!(names.beyond_plain(), ["azure/gpt-4o", "gpt-4o"]);
        assert_eq!((names.requested(), names.resolved()), ("fast", "azure/GPT-4o"));
    }
}
