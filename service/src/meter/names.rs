//! All names of a call: those of each of its models ([`Names`]), with what the mappings of a connection add to them once one
//! is named or has served. Pure.

use super::{command::Attempt, facts::Connection, glob::fold};
use crate::price::{
    names::{Mapping, Names},
    resolve::Prices,
};
use entity::{ledger::Candidate, reservation};
use std::sync::Arc;

/// The names of one model; of prices that are not at hand, no aliases.
fn of_model(prices: Option<&Prices>, model: &str) -> Names {
    prices.map_or_else(|| Names::plain(model), |prices| prices.names(model))
}

/// The names of each model of a call.
pub(super) fn of_call(
    prices: Option<&Prices>,
    connection: Option<&Connection>,
    models: &[String],
) -> Vec<Names> {
    let names = |model: &String| {
        let mut names = of_model(prices, model);
        names.map(connection.map_or(&[][..], |connection| &connection.mappings[..]));
        names
    };
    models.iter().map(names).collect()
}

/// The names of each model of a call that was made already, at the connections that have served it.
pub(super) fn of_reported(
    prices: Option<&Prices>,
    attempts: &[Attempt],
    mut mappings: impl FnMut(&Attempt) -> Arc<[Mapping]>,
) -> Vec<Names> {
    let names = |attempt: &Attempt| {
        let mut names = of_model(prices, attempt.model.as_deref()?);
        names.map(&mappings(attempt));
        Some(names)
    };
    attempts.iter().filter_map(names).collect()
}

/// The names of a model as it was authorized: those of then, whatever has become of aliases since.
fn authorized(candidate: &Candidate) -> Names {
    let mut names = Names::plain(&candidate.model);
    names.join(candidate.names.iter().cloned());
    names
}

/// The model that a call was authorized for and that a name is of: the name as it was stated, or another of its names.
pub(super) fn candidate<'r>(row: &'r reservation::Model, model: &str) -> Option<&'r Candidate> {
    let candidates = &row.terms.candidates;
    let stated = candidates.iter().find(|candidate| candidate.model == model);
    stated.or_else(|| candidates.iter().find(|candidate| authorized(candidate).has(&fold(model))))
}

/// The names of what an attempt was served by, and those of the model of the call that it was made for: of each of them, if it
/// is none of them. None if nothing says which.
pub(super) fn of_attempt(
    row: &reservation::Model,
    attempt: &Attempt,
    mappings: &[Mapping],
    prices: Option<&Prices>,
) -> Option<Names> {
    let candidates = &row.terms.candidates;
    let first = candidates.first().map(|candidate| candidate.model.as_str());
    let model = attempt.model.as_deref().or(first)?;
    let mut names = of_model(prices, model);
    // The name may be the upstream's, of a model that the call was authorized for.
    let of_upstream = |candidate: &&Candidate| {
        let authorized = authorized(candidate);
        let mapping = authorized.mapping(mappings).filter(|mapping| mapping.enabled);
        mapping.is_some_and(|mapping| fold(&mapping.upstream_name) == fold(model))
    };
    let own = candidate(row, model).or_else(|| candidates.iter().find(of_upstream));
    // What served in place of the models that were authorized counts as they do: what they hold is charged, whatever the
    // provider calls itself in its answer. An advisor serves in nobody's place.
    let instead = if attempt.advisor { &[] } else { &candidates[..] };
    let served = own.map_or(instead, std::slice::from_ref);
    for candidate in served {
        names.join(authorized(candidate).all().map(str::to_owned).collect::<Vec<_>>());
    }
    names.map(mappings);
    Some(names)
}
