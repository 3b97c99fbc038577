//! Which price holds for a call: the first in force of the steps, from the connection's own to the default. Pure, and a
//! function of the books alone: the order in which rows were read never shows. The walk that finds the winner is the one
//! that an explanation takes to its end.

use super::{
    Level,
    book::{Book, Entry, ModelFacts},
    family::{self, Likeness, provider},
    losers::{Loser, Losers},
    names::Names,
    shelf::{Asked, History, Shelves},
};
use crate::{meter::fold, model_alias};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, PriceId},
    status::{PriceGuess, UnpricedPolicy},
};
use serde::Serialize;
use std::{iter, sync::Arc};
use utoipa::ToSchema;

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

/// How a price was found.
#[derive(Debug)]
pub struct Resolution {
    /// The model, with every alias and the mapping of the connection followed.
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

    /// The price that holds for a model by its names, and those that do not, each with the reason.
    pub fn resolve(&self, names: &Names, wanted: &Wanted<'_>) -> Resolution {
        let found = names.found(self, wanted);
        let (name, winner) =
            found.map_or((names.resolved().into(), None), |(name, winner)| (name, Some(winner)));
        let folded = fold(&name);
        let asked = Asked { model: &folded, provider: wanted.provider };
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
        let aliases = names.chain().split_last().map_or(&[][..], |(_, aliases)| aliases).to_vec();
        Resolution { model: names.resolved().to_owned(), aliases, winner, reason, losers, more_losers }
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

/// How far a price is from being the one of the very name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    None,
    Spelling,
    Guess,
    Default,
}

impl Winner {
    pub(super) fn doubt(&self) -> Doubt {
        match self.likeness {
            None if self.step == Step::Default => Doubt::Default,
            None => Doubt::None,
            Some(_) if self.is_guess() => Doubt::Guess,
            Some(_) => Doubt::Spelling,
        }
    }

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

#[cfg(test)]
mod tests;
