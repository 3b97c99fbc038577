//! What a model without a price probably costs: as much as the platform's model that it resembles most. Its name is made
//! plain, then looked up, then shortened and lengthened at its hyphens, and at last only its family and tier count.
//! A guess is always a price row that charges for tokens, never a free one. A model of another kind (`gpt-image-3`,
//! `gpt-oss-120b`) or a variant whose price nobody states (`:free`, `ft:…`) resembles none.

mod name;
pub(super) mod provider;

pub use name::plain;
use name::{Called, kinds, spelled};

use super::{
    book::Entry,
    sharded::Sharded,
    shelf::{History, Shelf},
};
use entity::status::PriceKind;
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// A tier of a family: the words that tell it, and the models that stand for it, the preferred first.
struct Tier {
    name: &'static str,
    words: &'static [&'static str],
    models: &'static [&'static str],
}

/// A family of models: the word that tells it, and its tiers, the one that is meant if no word tells it first.
struct Family {
    word: &'static str,
    tiers: &'static [Tier],
}

const fn tier(name: &'static str, words: &'static [&'static str], models: &'static [&'static str]) -> Tier {
    Tier { name, words, models }
}

/// The models named are of the built-in catalogue. Those of claude cost 5/25/0.5 (opus), 3/15/0.3 (sonnet) and 1/5/0.1
/// (haiku) dollars for a million tokens of input, output and cache.
const FAMILIES: [Family; 6] = [
    Family {
        word: "claude",
        tiers: &[
            tier(
                "sonnet",
                &["sonnet"],
                &["claude-sonnet-4-6", "claude-sonnet-4-5", "claude-sonnet-4-20250514"],
            ),
            tier(
                "opus",
                &["opus"],
                &["claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6"],
            ),
            tier("haiku", &["haiku"], &["claude-haiku-4-5", "claude-haiku-4-5-20251001"]),
        ],
    },
    Family {
        word: "gpt",
        tiers: &[
            tier("4o", &["4o"], &["gpt-4o"]),
            tier("nano", &["nano"], &["gpt-5-nano", "gpt-4.1-nano"]),
            tier("mini", &["mini"], &["gpt-4o-mini", "gpt-5-mini"]),
            tier("turbo", &["turbo"], &["gpt-4-turbo"]),
            tier("pro", &["pro"], &["gpt-5-pro"]),
        ],
    },
    Family {
        word: "gemini",
        tiers: &[
            tier("flash", &["flash"], &["gemini-2.5-flash"]),
            tier("lite", &["lite"], &["gemini-2.5-flash-lite"]),
            tier("pro", &["pro"], &["gemini-2.5-pro"]),
        ],
    },
    Family {
        word: "deepseek",
        tiers: &[
            tier("chat", &["chat"], &["deepseek-chat"]),
            tier("reasoner", &["reasoner", "r1"], &["deepseek-reasoner"]),
        ],
    },
    Family {
        word: "mistral",
        tiers: &[
            tier("large", &["large"], &[]),
            tier("medium", &["medium"], &[]),
            tier("small", &["small"], &[]),
        ],
    },
    Family {
        word: "qwen",
        tiers: &[
            tier("plus", &["plus"], &[]),
            tier("max", &["max"], &[]),
            tier("turbo", &["turbo"], &[]),
            tier("flash", &["flash"], &[]),
        ],
    },
];

/// How a model resembles the one whose price is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// It is the same model, spelled in another way: no guess.
    Spelling,
    /// Their plain names are the same: it may be another snapshot.
    Same,
    /// The name of one goes on where the other's ends.
    Prefix,
    /// They are of one family and tier.
    Tier(&'static str, &'static str),
}

impl Likeness {
    /// Whether the price is a guess.
    pub fn is_guess(self) -> bool {
        self != Self::Spelling
    }
}

/// A word that tells a family and nothing else says nothing of the model.
fn is_family(name: &str) -> bool {
    FAMILIES.iter().any(|family| family.word == name)
}

/// The proper beginnings of a name at its hyphens, the longest first.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let cuts = name.rmatch_indices('-').filter_map(|(at, _)| name.get(..at));
    cuts.filter(|begin| !begin.is_empty() && !is_family(begin))
}

/// The family whose word a name begins with. A name that only contains it is of another vendor, who trained on its answers
/// or its weights.
fn family(name: &str) -> Option<&'static Family> {
    let own = ["chat", "open-"].iter().find_map(|more| name.strip_prefix(more)).unwrap_or(name);
    FAMILIES.iter().find(|family| {
        let rest = own.strip_prefix(family.word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    })
}

/// The words of a name that tell a tier of some family.
fn tier_words(name: &str) -> impl Iterator<Item = &str> {
    let tells = |word: &&str| FAMILIES.iter().flat_map(|family| family.tiers).any(|t| t.words.contains(word));
    name.split('-').filter(move |word| *word != "4o" && tells(word))
}

/// What a name that goes on after `begin` may cost as much as: `begin` itself, or its model of the same tier, so that
/// `gpt-5-7-pro` is not charged as `gpt-5`. Nothing if what follows makes another kind of model of it.
fn shortened(name: &str, begin: &str) -> Option<String> {
    let rest = name.strip_prefix(begin)?.strip_prefix('-')?;
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let other_version = digit(begin.chars().next_back()) && digit(rest.chars().next());
    let family = family(name);
    let tells = |text| family.and_then(|of| tier_of(of, text)).is_some_and(|tier| tier.name != "4o");
    // Of claude the tier says more than the version: claude-3-5-haiku is not charged as claude-3-haiku.
    let told = tells(begin) || name.starts_with("claude") && tells(name);
    if kinds(rest).next().is_some() || other_version && told {
        return None;
    }
    let tiers: Vec<&str> = tier_words(rest).collect();
    Some(std::iter::once(begin).chain(tiers).collect::<Vec<_>>().join("-"))
}

/// The tier of a name: the last in the family's list whose word it has, so that `gpt-4o-mini` is a mini.
fn tier_of(family: &'static Family, name: &str) -> Option<&'static Tier> {
    family.tiers.iter().rfind(|tier| name.split('-').any(|word| tier.words.contains(&word)))
}

/// Whether a price charges for tokens, and charges anything of an ordinary call.
pub fn charges(entry: &Entry) -> bool {
    matches!(entry.kind, PriceKind::PerToken | PriceKind::Tiered)
        && entry.terms.charged().any(|component| !component.is_server_tool())
}

/// The models with a price whose names resemble a plain name, the best first.
#[derive(Debug, Default, Clone)]
struct Near {
    same: Vec<Arc<str>>,
    longer: Vec<Arc<str>>,
}

/// The models of a book that a guess may take.
#[derive(Debug, Default, Clone)]
pub struct Families {
    names: Sharded<Box<str>, Near>,
    tiers: HashMap<(&'static str, &'static str), Vec<Arc<str>>>,
}

/// Where a model stands in a list: the shortest is the plainest; of dated ones the latest is the first. Whether it is there.
fn place(list: &[Arc<str>], model: &str) -> Result<usize, usize> {
    list.binary_search_by(|other| (other.len(), Reverse(&**other)).cmp(&(model.len(), Reverse(model))))
}

fn set(list: &mut Vec<Arc<str>>, model: &Arc<str>, there: bool) {
    match place(list, model) {
        Ok(at) if !there => drop(list.remove(at)),
        Err(at) if there => list.insert(at, model.clone()),
        _ => {}
    }
}

fn priced(shelf: &Shelf) -> bool {
    let mut entries = shelf.all().flat_map(|(_, history)| History::entries(history));
    entries.any(|entry| charges(entry))
}

impl Families {
    /// Orders the models of a book by their names.
    pub fn new<'b>(models: impl Iterator<Item = (&'b Arc<str>, &'b Shelf)>) -> Self {
        let mut models: Vec<&Arc<str>> =
            models.filter(|(_, shelf)| priced(shelf)).map(|(model, _)| model).collect();
        models.sort_unstable_by_key(|model| (model.len(), Reverse(*model)));
        let mut families = Self::default();
        for model in models {
            families.set(model, true);
        }
        families
    }

    /// Takes a model in, or out, as its prices now are.
    pub fn follow(&mut self, model: &Arc<str>, shelf: Option<&Shelf>) {
        if model.contains('*') {
            return;
        }
        let there = shelf.is_some_and(priced);
        let was = self.names.get(plain(model).as_str()).is_some_and(|near| place(&near.same, model).is_ok());
        if there != was {
            self.set(model, there);
        }
    }

    fn set(&mut self, model: &Arc<str>, there: bool) {
        let name = plain(model);
        for begin in beginnings(&name) {
            self.near(begin, |near| set(&mut near.longer, model, there));
        }
        if let Some(family) = family(&name)
            && let Some(tier) = tier_of(family, &name)
        {
            set(self.tiers.entry((family.word, tier.name)).or_default(), model, there);
        }
        self.near(&name, |near| set(&mut near.same, model, there));
    }

    fn near(&mut self, name: &str, change: impl FnOnce(&mut Near)) {
        let near = self.names.entry(name.into());
        change(near);
        if near.same.is_empty() && near.longer.is_empty() {
            self.names.remove(name);
        }
    }

    /// The first model that is accepted, in the order of their likeness.
    pub fn find<T>(&self, model: &str, mut accept: impl FnMut(&str) -> Option<T>) -> Option<(T, Likeness)> {
        let called = Called::new(model)?;
        let (found, likeness) = self.nearest(&called, &mut accept)?;
        // What a search or a plug-in adds is not known: what the model itself costs is a guess.
        let extra = called.extra && matches!(likeness, Likeness::Spelling | Likeness::Same);
        Some((found, if extra { Likeness::Prefix } else { likeness }))
    }

    fn nearest<T>(
        &self,
        called: &Called,
        accept: &mut impl FnMut(&str) -> Option<T>,
    ) -> Option<(T, Likeness)> {
        let name = called.plain.as_str();
        let same = |name: &str| self.names.get(name).map_or(&[][..], |near| near.same.as_slice());
        let mut spelling = same(name).iter().filter(|model| spelled(model) == called.spelled);
        if let Some(found) = spelling.find_map(|model| accept(model)) {
            return Some((found, Likeness::Spelling));
        }
        if let Some(found) = same(name).iter().find_map(|model| accept(model)) {
            return Some((found, Likeness::Same));
        }
        let mut shorter = beginnings(name).filter_map(|begin| shortened(name, begin));
        let longer = self.names.get(name).map_or(&[][..], |near| near.longer.as_slice());
        let alike = |model: &&Arc<str>| {
            let other = plain(model);
            kinds(other.strip_prefix(name).unwrap_or(&other)).next().is_none()
        };
        let found = shorter
            .find_map(|shorter| same(&shorter).iter().find_map(|model| accept(model)))
            .or_else(|| longer.iter().filter(alike).find_map(|model| accept(model)));
        if let Some(found) = found {
            return Some((found, Likeness::Prefix));
        }
        self.of_tier(name, accept)
    }

    /// The model that stands for the family and tier of a name.
    fn of_tier<T>(&self, name: &str, accept: &mut impl FnMut(&str) -> Option<T>) -> Option<(T, Likeness)> {
        let family = family(name).filter(|_| kinds(name).next().is_none())?;
        let tiers = tier_of(family, name).into_iter().chain(family.tiers.first());
        tiers.into_iter().find_map(|tier| {
            let preferred = tier.models.iter().find_map(|model| accept(model));
            let others = self.tiers.get(&(family.word, tier.name)).map_or(&[][..], Vec::as_slice);
            let alike = |model: &&Arc<str>| kinds(&plain(model)).next().is_none();
            let found = preferred.or_else(|| others.iter().filter(alike).find_map(|model| accept(model)))?;
            Some((found, Likeness::Tier(family.word, tier.name)))
        })
    }
}

#[cfg(test)]
mod tests;
