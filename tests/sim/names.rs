//! All names of a call, found naively: again and again until there are no more.

use crate::{
    naive::{self, Booked, Candidate},
    policy::{AliasRow, KeyRow, Policy},
};
use entity::id::{ConnectionId, OrganizationId};
use service::meter::{Call, command::Attempt};
use std::collections::BTreeSet;

/// All names of a model that is called.
#[derive(Debug, Clone)]
pub struct Named {
    /// As it was asked for.
    pub model: String,
    /// As it was asked for, and as aliases lead on, folded.
    pub chain: Vec<String>,
    /// Folded, in the order in which they are found.
    pub all: Vec<String>,
    /// Those to find a price by, in order.
    pub priced: Vec<String>,
    /// Whether nothing may be called by it.
    pub disabled: bool,
    /// Whether a connection says the provider.
    pub connected: bool,
}

/// As names are compared.
pub fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Adds a name, and what it is without its prefixes.
fn add(all: &mut Vec<String>, name: &str) {
    let rests = std::iter::successors(Some(name), |name| name.split_once('/').map(|(_, rest)| rest));
    for name in rests.map(fold) {
        if !name.is_empty() && !all.contains(&name) {
            all.push(name);
        }
    }
}

/// The names that one tells by itself.
pub fn plain(name: &str) -> Vec<String> {
    let mut all = Vec::new();
    add(&mut all, name);
    all
}

fn alias<'p>(policy: &'p Policy, organization: OrganizationId, name: &str) -> Option<&'p AliasRow> {
    policy.aliases.iter().find(|row| row.organization == organization && fold(&row.name) == fold(name))
}

/// The names of a model, without those that a connection gives it.
fn of_model(policy: &Policy, organization: OrganizationId, model: &str) -> Named {
    let (mut chain, mut all) = (vec![model.to_owned()], Vec::new());
    while let Some(row) = alias(policy, organization, chain.last().unwrap()).filter(|row| row.enabled) {
        chain.push(row.target.clone());
    }
    let off = |name: &String| alias(policy, organization, name).is_some_and(|row| !row.enabled);
    chain.iter().for_each(|name| add(&mut all, name));
    let (mut ends, mut n) = (Vec::new(), 0);
    while n < all.len() {
        let row = alias(policy, organization, &all[n]).filter(|row| row.enabled);
        if let Some(row) = row.filter(|row| !all.contains(&fold(&row.target))) {
            ends.insert(0, row.target.clone());
            add(&mut all, &row.target);
        }
        n += 1;
    }
    let disabled = chain.iter().chain(&all).any(off);
    let priced = chain.last().cloned().into_iter().chain(ends).collect();
    let chain = chain.iter().map(|name| fold(name)).collect();
    Named { model: model.to_owned(), chain, all, priced, disabled, connected: false }
}

/// The mappings of these names, in their order.
fn mappings<'p>(
    policy: &'p Policy,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
    names: &[String],
) -> Vec<&'p (String, String, bool)> {
    let line = connection.and_then(|id| policy.connections.get(&id));
    let line = line.filter(|line| line.organization == organization);
    let all = line.map_or(&[][..], |line| &line.mappings);
    names.iter().filter_map(|name| all.iter().find(|(client, ..)| fold(client) == *name)).collect()
}

/// What the first of them that is used calls a model.
fn upstream(mappings: &[&(String, String, bool)]) -> Option<String> {
    mappings.iter().find(|(.., enabled)| *enabled).map(|(_, upstream, _)| upstream.clone())
}

/// The same with what a connection calls it.
fn at(
    policy: &Policy,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
    named: Named,
) -> Named {
    let line = connection.and_then(|id| policy.connections.get(&id));
    let connected = line.is_some_and(|line| line.organization == organization);
    let mut named = Named { connected, ..named };
    // The requested name finds its mapping first, then what it leads to.
    let names = [named.chain.clone(), named.all.clone()].concat();
    let mappings = mappings(policy, organization, connection, &names);
    named.disabled |= mappings.iter().any(|(.., enabled)| !enabled);
    if let Some(upstream) = upstream(&mappings) {
        add(&mut named.all, &upstream);
        named.priced.insert(0, upstream);
    }
    named
}

/// The names of each model of a call.
pub fn of_call(policy: &Policy, key: &KeyRow, call: &Call) -> Vec<Named> {
    let (organization, connection) = (key.organization, naive::line(policy, key, call).map(|(id, _)| id));
    let named = |model: &String| at(policy, organization, connection, of_model(policy, organization, model));
    call.models.iter().map(named).collect()
}

/// The names of each model of a call that is reported.
pub fn of_reported(policy: &Policy, key: &KeyRow, call: &Call, attempts: &[Attempt]) -> Vec<Named> {
    let named = |attempt: &Attempt| {
        let connection = attempt.connection_id.or(call.connection_id);
        let named = of_model(policy, key.organization, attempt.model.as_deref()?);
        Some(at(policy, key.organization, connection, named))
    };
    attempts.iter().filter_map(named).collect()
}

/// All of them together.
pub fn together(named: &[Named]) -> BTreeSet<String> {
    named.iter().flat_map(|one| one.all.iter().cloned()).collect()
}

fn authorized(candidate: &Candidate) -> Vec<String> {
    plain(&candidate.model).into_iter().chain(candidate.names.iter().cloned()).collect()
}

/// What a model that an attempt names was authorized as.
pub fn candidate<'r>(row: &'r Booked, model: &str) -> Option<&'r Candidate> {
    let stated = row.candidates.iter().find(|one| one.model == model);
    stated.or_else(|| row.candidates.iter().find(|one| authorized(one).contains(&fold(model))))
}

/// The names of what served an attempt, and of what it was made for: of all that was authorized, if it is none of them.
pub fn of_attempt(
    policy: &Policy,
    organization: OrganizationId,
    row: &Booked,
    attempt: &Attempt,
) -> Option<Named> {
    let model = attempt.model.clone().or_else(|| Some(row.candidates.first()?.model.clone()))?;
    let connection = attempt.connection_id.or(row.connection);
    let mut named = of_model(policy, organization, &model);
    let served_as = |one: &&Candidate| {
        let mappings = mappings(policy, organization, connection, &authorized(one));
        upstream(&mappings).is_some_and(|upstream| fold(&upstream) == fold(&model))
    };
    let of = candidate(row, &model).or_else(|| row.candidates.iter().find(served_as));
    let served = of.map_or(&row.candidates[..], std::slice::from_ref);
    for name in served.iter().flat_map(authorized) {
        add(&mut named.all, &name);
    }
    Some(at(policy, organization, connection, named))
}
