//! Which price holds for a call: the first in force of the steps, from the connection's own to the default. Pure, and a
//! function of the books alone: the order in which rows were read never shows. The walk that finds the winner is the one
//! that an explanation takes to its end.

use super::{
    Level,
    book::{Book, Entry, ModelFacts},
    family::{self, Likeness, provider},
    shelf::{Asked, History, Shelves},
};
use crate::{meter::fold, model_alias};
use chrono::{DateTime, SecondsFormat, Utc};
use entity::{
    id::{ConnectionId, PriceId},
    status::{PriceGuess, UnpricedPolicy},
};
use serde::Serialize;
use std::{collections::HashSet, iter, sync::Arc};
use utoipa::ToSchema;

/// Losers that are listed.
const LOSERS: usize = 50;

/// Where a price was found, the first that is looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A price of the connection.
    Connection,
    /// The organization's price of the model at the provider.
    OrganizationProviderModel,
    /// The organization's price of the model.
    OrganizationModel,
    /// The organization's price of a glob.
    OrganizationGlob,
    /// The platform's price of the model at the provider.
    PlatformProviderModel,
    /// The platform's price of the model.
    PlatformModel,
    /// The platform's price of a glob.
    PlatformGlob,
    /// The platform's price of the model that is most like it.
    Family,
    /// The default price.
    Default,
}

/// What a price is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The model, as the client calls it.
    pub model: &'a str,
    /// The provider, if it is named.
    pub provider: Option<&'a str>,
    /// The connection, if it is known.
    pub connection_id: Option<ConnectionId>,
    /// The moment.
    pub at: DateTime<Utc>,
}

/// The price that holds.
#[derive(Debug, Clone)]
pub struct Winner {
    /// The price.
    pub entry: Arc<Entry>,
    /// Where it was found.
    pub step: Step,
    likeness: Option<Likeness>,
}

/// A price that was looked at and does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Loser {
    /// Its id.
    pub price_id: PriceId,
    /// Whose it is.
    pub scope: Level,
    /// The connection it is for; null = all of the scope.
    #[schema(required)]
    pub connection_id: Option<ConnectionId>,
    /// The provider it is for; null = whoever serves the model.
    #[schema(required)]
    pub provider: Option<String>,
    /// Its model or glob; null = a default price.
    #[schema(required)]
    pub model: Option<String>,
    /// Why it does not hold.
    #[schema(example = "beaten by price_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub reason: String,
}

/// How a price was found.
#[derive(Debug)]
pub struct Resolution {
    /// The model, with every alias followed.
    pub model: String,
    /// The aliases that were followed, in order.
    pub aliases: Vec<String>,
    /// The price that holds, if there is one.
    pub winner: Option<Winner>,
    /// Why it does, or why there is none.
    pub reason: String,
    /// Prices that do not hold, in the order in which they were looked at.
    pub losers: Vec<Loser>,
    /// Whether there are more than are listed.
    pub more_losers: bool,
}

/// The prices that hold for an organization, and when they were known to.
#[derive(Debug, Clone)]
pub struct Prices {
    /// The organization's book.
    pub organization: Arc<Book>,
    /// The platform's book.
    pub platform: Arc<Book>,
    /// What the organization decided about calls without a price.
    pub unpriced_policy: UnpricedPolicy,
    /// What it decided about prices that are guessed.
    pub price_guess: PriceGuess,
    /// The time by the database when the books were known to be current.
    pub now: DateTime<Utc>,
}

impl Prices {
    /// The price with this id, the organization's or the platform's, whether or not it is in force.
    pub fn price(&self, id: PriceId) -> Option<&Arc<Entry>> {
        self.organization.price(id).or_else(|| self.platform.price(id))
    }

    /// The price that holds.
    pub fn winner(&self, wanted: &Wanted<'_>) -> Option<Winner> {
        self.winner_of(self.resolved(wanted.model), wanted)
    }

    /// The price that holds for a name that leads no further.
    pub(super) fn winner_of(&self, model: &str, wanted: &Wanted<'_>) -> Option<Winner> {
        self.first(Asked { model: &fold(model), provider: wanted.provider }, wanted)
    }

    /// A model's name, with every alias followed.
    pub fn resolved<'s>(&'s self, model: &'s str) -> &'s str {
        self.aliases(model).last().unwrap_or(model)
    }

    /// What is known of a model, wherever it is served; what the organization says of it counts.
    pub fn model(&self, model: &str) -> Option<ModelFacts> {
        self.model_of(self.resolved(model))
    }

    /// The same of a name that leads no further.
    pub(super) fn model_of(&self, model: &str) -> Option<ModelFacts> {
        let model = fold(model);
        self.organization.largest(&model).or_else(|| self.platform.largest(&model))
    }

    /// The price that holds and those that do not, each with the reason.
    pub fn resolve(&self, wanted: &Wanted<'_>) -> Resolution {
        let mut aliases: Vec<String> =
            iter::once(wanted.model).chain(self.aliases(wanted.model)).map(Into::into).collect();
        let model = aliases.pop().unwrap_or_default();
        let folded = fold(&model).into_owned();
        let asked = Asked { model: &folded, provider: wanted.provider };
        let winner = self.first(asked, wanted);
        let mut losers = Losers::new(winner.as_ref(), wanted.at);
        for (_, history) in self.walk(asked, wanted.connection_id) {
            losers.hear(history);
        }
        if let Some(likely) = self.likely(asked, wanted.at) {
            match self.no_guess().filter(|_| likely.is_guess()) {
                Some(why) => losers.note(&likely.entry, || format!("a guess, and {why}")),
                None => losers.beaten(&likely.entry),
            }
        }
        for history in self.defaults(asked, wanted.connection_id) {
            losers.hear_default(history, self.unpriced_policy);
        }
        for history in
            [&self.organization, &self.platform].into_iter().flat_map(|book| book.own().elsewhere(asked))
        {
            losers.elsewhere(history);
        }
        let reason = winner.as_ref().map_or_else(|| self.nothing(), Winner::reason);
        let (more_losers, losers) = (losers.more, losers.list);
        Resolution { model, aliases, winner, reason, losers, more_losers }
    }

    /// Where a name leads, alias by alias.
    pub(super) fn aliases<'s>(&'s self, model: &str) -> impl Iterator<Item = &'s str> {
        iter::successors(self.organization.alias(model), |name| self.organization.alias(name))
            .take(model_alias::LONGEST)
    }

    fn first(&self, asked: Asked<'_>, wanted: &Wanted<'_>) -> Option<Winner> {
        let found = |(step, history): (Step, &History)| {
            Some(Winner { entry: history.at(wanted.at)?.clone(), step, likeness: None })
        };
        self.walk(asked, wanted.connection_id)
            .find_map(found)
            .or_else(|| self.guess(asked, wanted.at))
            .or_else(|| {
                let allowed = self.unpriced_policy == UnpricedPolicy::Default;
                let mut defaults = self.defaults(asked, wanted.connection_id).filter(|_| allowed);
                defaults.find_map(|history| found((Step::Default, history)))
            })
    }

    /// Every history of this model, in order; the books further on are opened only if those before have nothing.
    fn walk<'s>(
        &'s self,
        asked: Asked<'s>,
        connection: Option<ConnectionId>,
    ) -> impl Iterator<Item = (Step, &'s History)> {
        const CONNECTION: [Step; 3] = [Step::Connection; 3];
        const ORGANIZATION: [Step; 3] =
            [Step::OrganizationProviderModel, Step::OrganizationModel, Step::OrganizationGlob];
        const PLATFORM: [Step; 3] = [Step::PlatformProviderModel, Step::PlatformModel, Step::PlatformGlob];
        let connection = connection.and_then(|id| self.organization.connection(id));
        let scopes = [
            connection.map(|prices| (CONNECTION, prices)),
            Some((ORGANIZATION, self.organization.own())),
            Some((PLATFORM, self.platform.own())),
        ];
        scopes.into_iter().flatten().flat_map(move |(steps, prices)| rungs(steps, prices, asked))
    }

    /// Why no price is guessed; none if one may be. Who refuses calls without a price does not want one that may be wrong.
    fn no_guess(&self) -> Option<&'static str> {
        if self.unpriced_policy == UnpricedPolicy::Refuse {
            return Some("the unpriced policy is refuse");
        }
        (self.price_guess == PriceGuess::Never).then_some("price_guess is never")
    }

    /// The platform's price of the same model in another spelling, or a guess if one may be made.
    fn guess(&self, asked: Asked<'_>, at: DateTime<Utc>) -> Option<Winner> {
        self.likely(asked, at).filter(|winner| !winner.is_guess() || self.no_guess().is_none())
    }

    /// The platform's price of the model that is most like it, of the provider that is stated, if one is. A model that is
    /// known has no price for a reason, such as one that cannot be kept exactly: no other model's stands in for it.
    fn likely(&self, asked: Asked<'_>, at: DateTime<Utc>) -> Option<Winner> {
        let known = |book: &Book| book.model(asked.model, asked.provider).is_some();
        if known(&self.organization) || known(&self.platform) {
            return None;
        }
        let prices = self.platform.own();
        let stated = provider::stated(asked);
        let accept = |model: &str| {
            let shelf = prices.exact(model)?;
            let named = asked.provider.and_then(|provider| shelf.of(Some(provider)));
            let suits = |other: Option<&str>| provider::suits(stated, other);
            let others = shelf.all().filter(|(other, _)| suits(*other)).map(|(_, history)| history);
            let mut histories = named.into_iter().chain(others);
            histories.find_map(|history| history.at(at).filter(|entry| family::charges(entry)).cloned())
        };
        let (entry, likeness) = self.platform.families()?.find(asked.model, accept)?;
        let of_provider = stated.is_some() && entry.provider.is_some();
        let step = match likeness {
            Likeness::Spelling if of_provider => Step::PlatformProviderModel,
            Likeness::Spelling => Step::PlatformModel,
            _ => Step::Family,
        };
        Some(Winner { entry, step, likeness: Some(likeness) })
    }

    fn defaults<'s>(
        &'s self,
        asked: Asked<'s>,
        connection: Option<ConnectionId>,
    ) -> impl Iterator<Item = &'s History> {
        let connection = connection.and_then(|id| self.organization.connection(id));
        let scopes = [connection, Some(self.organization.own()), Some(self.platform.own())];
        scopes.into_iter().flatten().flat_map(move |prices| prices.defaults(asked))
    }

    fn nothing(&self) -> String {
        match self.unpriced_policy {
            UnpricedPolicy::Default => "no price is in force, and no default price".to_owned(),
            UnpricedPolicy::Refuse | UnpricedPolicy::Allow => "no price is in force".to_owned(),
        }
    }
}

fn rungs<'s>(
    [provider_model, model, glob]: [Step; 3],
    prices: &'s Shelves,
    asked: Asked<'s>,
) -> impl Iterator<Item = (Step, &'s History)> {
    let at_provider = prices.provider_model(asked).map(move |history| (provider_model, history));
    let anywhere = prices.model(asked).map(move |history| (model, history));
    let by_glob = iter::once_with(move || prices.glob(asked)).flatten().map(move |history| (glob, history));
    at_provider.chain(anywhere).chain(by_glob)
}

impl Winner {
    /// Whether it is the price of another model.
    pub fn is_guess(&self) -> bool {
        self.likeness.is_some_and(Likeness::is_guess)
    }

    /// Why it holds.
    pub fn reason(&self) -> String {
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let (model, provider) = (text(&self.entry.model), text(&self.entry.provider));
        let of = match self.entry.level() {
            Level::Connection => "the connection's",
            Level::Organization => "the organization's",
            Level::Platform => "the platform's",
        };
        let at = if provider.is_empty() { String::new() } else { format!(" at {provider}") };
        match (self.step, self.likeness) {
            (_, Some(Likeness::Spelling)) => {
                format!("{of} price of {model}{at}, the same model in another spelling")
            }
            (_, Some(Likeness::Same)) => format!("{of} price of {model}{at}, the same model by another name"),
            (_, Some(Likeness::Prefix)) => {
                format!("{of} price of {model}{at}, the model with the nearest name")
            }
            (_, Some(Likeness::Tier(family, tier))) => {
                format!("{of} price of {model}{at}, which stands for the family {family}, tier {tier}")
            }
            (Step::Default, _) => format!("{of} default price{at}"),
            _ if model.contains('*') => format!("{of} price of the glob {model}{at}"),
            _ => format!("{of} price of {model}{at}"),
        }
    }
}

/// Those that do not hold, each once.
struct Losers<'w> {
    winner: Option<&'w Winner>,
    at: DateTime<Utc>,
    heard: HashSet<PriceId>,
    list: Vec<Loser>,
    more: bool,
}

impl<'w> Losers<'w> {
    fn new(winner: Option<&'w Winner>, at: DateTime<Utc>) -> Self {
        let heard = winner.iter().map(|winner| winner.entry.id).collect();
        Self { winner, at, heard, list: Vec::new(), more: false }
    }

    fn note(&mut self, entry: &Entry, reason: impl FnOnce() -> String) {
        if !self.heard.insert(entry.id) {
            return;
        }
        if self.list.len() == LOSERS {
            self.more = true;
            return;
        }
        self.list.push(Loser {
            price_id: entry.id,
            scope: entry.level(),
            connection_id: entry.connection_id,
            provider: entry.provider.as_deref().map(Into::into),
            model: entry.model.as_deref().map(Into::into),
            reason: reason(),
        });
    }

    fn beaten(&mut self, entry: &Entry) {
        if let Some(winner) = self.winner {
            self.note(entry, || format!("beaten by {}", winner.entry.id));
        }
    }

    /// A history that was looked at.
    fn hear(&mut self, history: &History) {
        let Some(in_force) = history.at(self.at) else { return self.not_in_force(history) };
        self.beaten(in_force);
        self.not_in_force(history);
    }

    fn not_in_force(&mut self, history: &History) {
        let in_force = history.at(self.at);
        for entry in history.entries() {
            let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            if entry.effective_from > self.at {
                self.note(entry, || format!("not yet in force, but from {}", time(entry.effective_from)));
            } else if let Some(until) = entry.effective_until.filter(|until| *until <= self.at) {
                self.note(entry, || format!("ended at {}", time(until)));
            } else if let Some(later) = in_force.filter(|later| later.id != entry.id) {
                self.note(entry, || format!("superseded by {}", later.id));
            }
        }
    }

    fn hear_default(&mut self, history: &History, policy: UnpricedPolicy) {
        let word = match policy {
            UnpricedPolicy::Default => return self.hear(history),
            UnpricedPolicy::Refuse => "refuse",
            UnpricedPolicy::Allow => "allow",
        };
        if let Some(entry) = history.at(self.at) {
            self.note(entry, || format!("the unpriced policy is {word}"));
        }
    }

    fn elsewhere(&mut self, history: &History) {
        if let Some(entry) = history.at(self.at) {
            self.note(entry, || {
                format!("another provider's: {}", entry.provider.as_deref().unwrap_or_default())
            });
        }
    }
}

#[cfg(test)]
mod tests;
