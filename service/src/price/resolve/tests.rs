//! Resolution, rule by rule.

mod edits;
mod ranks;
mod scripts;

use super::*;
use crate::price::book::Binder;
use chrono::TimeDelta;
use entity::{
    id::{ModelAliasId, OrganizationId},
    model_alias,
    money::Rate,
    price,
    status::{Origin, PriceGuess, PriceKind},
    terms::{Band, Component, Rates, ServiceTier, Terms},
};
use std::collections::BTreeMap;
use uuid::Uuid;

const HERE: OrganizationId = OrganizationId::new(Uuid::from_u128(7));
const LINE: ConnectionId = ConnectionId::new(Uuid::from_u128(70));

fn noon() -> DateTime<Utc> {
    "2027-01-15T12:00:00Z".parse().unwrap()
}

fn hours(n: i64) -> DateTime<Utc> {
    noon() + TimeDelta::hours(n)
}

fn terms(input: i64) -> Terms {
    let rates = Rates(BTreeMap::from([(Component::Input, Rate(input))]));
    let rates = BTreeMap::from([(ServiceTier::Standard, rates)]);
    Terms {
        tier_by: None,
        bands: vec![Band { up_to: None, rates }],
        multipliers: BTreeMap::new(),
        off_peak: None,
    }
}

/// A price in force since an hour before noon.
fn price(n: u128, organization: OrganizationId, provider: Option<&str>, model: Option<&str>) -> price::Model {
    price::Model {
        id: PriceId::new(Uuid::from_u128(n)),
        organization_id: organization,
        connection_id: None,
        provider: provider.map(Into::into),
        model: model.map(Into::into),
        kind: PriceKind::PerToken,
        currency: "USD".into(),
        terms: terms(1_000_000_000),
        markup_bps: 0,
        effective_from: hours(-1),
        effective_until: None,
        origin: Origin::Manual,
        source: None,
        sourced_on: None,
        note: None,
        created_by: "system".into(),
        version: 1,
        created_at: noon(),
        updated_at: noon(),
    }
}

fn ours(n: u128, provider: Option<&str>, model: &str) -> price::Model {
    price(n, HERE, provider, Some(model))
}

fn platforms(n: u128, provider: Option<&str>, model: &str) -> price::Model {
    price(n, OrganizationId::PLATFORM, provider, Some(model))
}

fn alias(name: &str, target: &str, enabled: bool) -> model_alias::Model {
    model_alias::Model {
        id: ModelAliasId::new(Uuid::nil()),
        organization_id: HERE,
        name: name.into(),
        target: target.into(),
        enabled,
        version: 1,
        created_at: noon(),
        updated_at: noon(),
    }
}

fn books(rows: &[price::Model], aliases: &[model_alias::Model]) -> Prices {
    let book = |organization: OrganizationId| {
        let mut binder = Binder::default();
        rows.iter()
            .filter(|row| row.organization_id == organization)
            .cloned()
            .for_each(|row| binder.price(row));
        aliases
            .iter()
            .filter(|row| row.organization_id == organization)
            .cloned()
            .for_each(|row| binder.alias(row));
        Arc::new(binder.finish(organization))
    };
    Prices {
        organization: book(HERE),
        platform: book(OrganizationId::PLATFORM),
        unpriced_policy: UnpricedPolicy::Default,
        price_guess: PriceGuess::Flag,
        now: noon(),
    }
}

fn wanted<'a>(model: &'a str, provider: Option<&'a str>) -> Wanted<'a> {
    Wanted { model, provider, connection_id: None, at: noon() }
}

/// The price that holds for the name that aliases lead to.
fn winner(prices: &Prices, wanted: &Wanted<'_>) -> Option<Winner> {
    prices.winner_of(prices.resolved(wanted.model), wanted)
}

/// The same for all names of the model, and why.
fn resolve(prices: &Prices, wanted: &Wanted<'_>) -> Resolution {
    prices.resolve(&prices.names(wanted.model), wanted)
}

/// The number of the price that wins.
fn won(prices: &Prices, wanted: Wanted<'_>) -> Option<u128> {
    let winner = winner(prices, &wanted).map(|winner| winner.entry.id.uuid().as_u128());
    let explained = resolve(prices, &wanted);
    assert_eq!(explained.winner.map(|winner| winner.entry.id.uuid().as_u128()), winner);
    winner
}

#[test]
fn each_step_gives_way_to_the_one_before() {
    let line =
        |model: Option<&str>, n| price::Model { connection_id: Some(LINE), ..price(n, HERE, None, model) };
    let mut rows = vec![
        line(Some("gpt-4o"), 1),
        line(Some("gpt-*"), 2),
        ours(3, Some("openai"), "gpt-4o"),
        ours(4, None, "gpt-4o"),
        ours(5, None, "gpt-4*"),
        ours(6, None, "gpt-*"),
        platforms(7, Some("openai"), "gpt-4o"),
        platforms(8, None, "gpt-4o"),
        platforms(9, None, "gpt-4o*"),
        platforms(10, None, "gpt-4o-2024-05-13"),
        line(None, 11),
        price(12, HERE, Some("openai"), None),
        price(13, HERE, None, None),
        price(14, OrganizationId::PLATFORM, None, None),
    ];
    let steps = [
        Step::Connection,
        Step::Connection,
        Step::OrganizationProviderModel,
        Step::OrganizationModel,
        Step::OrganizationGlob,
        Step::OrganizationGlob,
        Step::PlatformProviderModel,
        Step::PlatformModel,
        Step::PlatformGlob,
        Step::Family,
        Step::Default,
        Step::Default,
        Step::Default,
        Step::Default,
    ];
    let wanted = Wanted { connection_id: Some(LINE), ..wanted("gpt-4o", Some("openai")) };
    for (n, step) in (1..).zip(steps) {
        let prices = books(&rows, &[]);
        let winner = winner(&prices, &wanted).unwrap();
        assert_eq!((winner.entry.id.uuid().as_u128(), winner.step), (n, step));
        let losers = resolve(&prices, &wanted).losers;
        let beaten: Vec<u128> = losers.iter().map(|loser| loser.price_id.uuid().as_u128()).collect();
        // While a model of that very name is there, no other is guessed.
        let expected: Vec<u128> = (n + 1..=14).filter(|other| *other != 10 || n == 9).collect();
        assert_eq!(beaten, expected, "{losers:?}");
        assert!(losers.iter().all(|loser| loser.reason == format!("beaten by {}", winner.entry.id)));
        rows.remove(0);
    }
    assert!(winner(&books(&rows, &[]), &wanted).is_none());
}

#[test]
fn the_default_price_is_for_those_who_want_it() {
    let default = price(1, HERE, None, None);
    for (policy, reason) in [
        (UnpricedPolicy::Refuse, "the unpriced policy is refuse"),
        (UnpricedPolicy::Allow, "the unpriced policy is allow"),
    ] {
        let prices = Prices { unpriced_policy: policy, ..books(std::slice::from_ref(&default), &[]) };
        let found = resolve(&prices, &wanted("x", None));
        assert!(found.winner.is_none());
        assert_eq!(found.reason, "no price is in force");
        assert_eq!(found.losers[0].reason, reason);
    }
    assert_eq!(won(&books(&[default], &[]), wanted("x", None)), Some(1));
    let of_azure = price(2, HERE, Some("azure"), None);
    let prices = books(&[of_azure], &[]);
    assert_eq!(won(&prices, wanted("x", Some("azure"))), Some(2));
    assert_eq!(won(&prices, wanted("azure/x", None)), Some(2));
    assert_eq!(won(&prices, wanted("x", Some("openai"))), None);
    assert_eq!(won(&prices, wanted("x", None)), None);
}

#[test]
fn a_price_holds_from_its_first_moment_up_to_its_last() {
    let (from, until) = (hours(-1), hours(1));
    let moment = TimeDelta::microseconds(1);
    let open = platforms(1, None, "gpt-4o");
    let term = price::Model { effective_until: Some(until), ..ours(2, None, "gpt-4o") };
    let prices = books(&[open, term], &[]);
    for (at, expected) in [
        (from - moment, None),
        (from, Some(2)),
        (until - moment, Some(2)),
        (until, Some(1)),
        (until + moment, Some(1)),
    ] {
        assert_eq!(won(&prices, Wanted { at, ..wanted("gpt-4o", None) }), expected, "{at}");
    }
}

#[test]
fn the_one_that_began_last_holds_and_the_one_before_returns_when_it_ends() {
    let starting = |n, from, until: Option<i64>| price::Model {
        effective_from: hours(from),
        effective_until: until.map(hours),
        ..ours(n, None, "gpt-4o")
    };
    let prices = books(&[starting(1, -9, None), starting(2, -4, Some(-2)), starting(3, 2, None)], &[]);
    let at = |hour| won(&prices, Wanted { at: hours(hour), ..wanted("gpt-4o", None) });
    assert_eq!(
        [-10, -9, -5, -4, -3, -2, 0, 1, 2, 9].map(at),
        [0, 1, 1, 2, 2, 1, 1, 1, 3, 3].map(|n| (n > 0).then_some(n))
    );
    let losers = resolve(&prices, &wanted("gpt-4o", None)).losers;
    let reasons: Vec<&str> = losers.iter().map(|loser| loser.reason.as_str()).collect();
    assert_eq!(reasons, ["not yet in force, but from 2027-01-15T14:00:00Z", "ended at 2027-01-15T10:00:00Z"]);
    let late = resolve(&prices, &Wanted { at: hours(3), ..wanted("gpt-4o", None) });
    assert_eq!(late.losers[0].reason, "ended at 2027-01-15T10:00:00Z");
    assert_eq!(late.losers[1].reason, format!("superseded by {}", PriceId::new(Uuid::from_u128(3))));
}

#[test]
fn a_price_of_another_provider_holds_only_where_none_is_named() {
    let prices = books(&[ours(1, Some("openai"), "gpt-4o"), ours(2, Some("azure"), "gpt-4o")], &[]);
    assert_eq!(won(&prices, wanted("gpt-4o", Some("openai"))), Some(1));
    assert_eq!(won(&prices, wanted("gpt-4o", Some("azure"))), Some(2));
    assert_eq!(won(&prices, wanted("gpt-4o", None)), Some(2), "by the provider's name");
    let found = resolve(&prices, &wanted("gpt-4o", Some("groq")));
    assert!(found.winner.is_none());
    let reasons: Vec<&str> = found.losers.iter().map(|loser| loser.reason.as_str()).collect();
    assert_eq!(reasons, ["another provider's: azure", "another provider's: openai"]);
}

#[test]
fn a_list_key_is_found_as_it_is_written_and_by_its_parts() {
    let prices =
        books(&[ours(1, Some("azure"), "azure/gpt-4o"), ours(2, Some("azure"), "eu/azure/gpt-4")], &[]);
    assert_eq!(won(&prices, wanted("azure/gpt-4o", None)), Some(1));
    assert_eq!(won(&prices, wanted("gpt-4o", Some("azure"))), Some(1));
    assert_eq!(won(&prices, wanted("azure/gpt-4o", Some("azure"))), Some(1));
    assert_eq!(won(&prices, wanted("gpt-4o", None)), None, "it is no other provider's model");
    assert_eq!(won(&prices, wanted("eu/azure/gpt-4", None)), Some(2));
    let prices = books(&[ours(1, Some("azure"), "gpt-4o"), ours(2, Some("azure"), "azure/gpt-4o")], &[]);
    assert_eq!(won(&prices, wanted("azure/gpt-4o", None)), Some(2), "as it is written");
    assert_eq!(won(&prices, wanted("gpt-4o", Some("azure"))), Some(1), "as it is written");
    let prices = books(&[ours(1, Some("azure"), "gpt-4o")], &[]);
    assert_eq!(won(&prices, wanted("azure/gpt-4o", Some("azure"))), Some(1), "named twice");
    assert_eq!(won(&prices, wanted("azure/gpt-4o", Some("groq"))), None);
}

#[test]
fn a_provider_in_the_name_is_as_good_as_one_that_is_named() {
    let rows = [ours(1, None, "gpt-4o"), ours(2, None, "gpt-*"), platforms(3, Some("openai"), "gpt-4o")];
    let prices = books(&rows, &[]);
    for asked in [wanted("gpt-4o", None), wanted("gpt-4o", Some("openai")), wanted("openai/gpt-4o", None)] {
        assert_eq!(won(&prices, asked), Some(1), "the organization's comes first");
    }
    let prices = books(&rows[1..], &[]);
    assert_eq!(won(&prices, wanted("openai/gpt-4o", None)), Some(2));
    assert_eq!(won(&prices, wanted("gpt-4o", Some("openai"))), Some(2));
    let prices = books(&[ours(1, Some("azure"), "gpt-4o")], &[]);
    assert_eq!(won(&prices, wanted("azure/gpt-4o", None)), Some(1));
}

#[test]
fn aliases_lead_on_and_beat_models_of_their_name() {
    let rows = [ours(1, None, "fast"), ours(2, None, "gpt-4o-mini"), ours(3, None, "gpt-4o")];
    let aliases =
        [alias("fast", "cheap", true), alias("cheap", "gpt-4o-mini", true), alias("gpt-4o", "fast", false)];
    let prices = books(&rows, &aliases);
    let found = resolve(&prices, &wanted("fast", None));
    assert_eq!(
        (found.model.as_str(), found.aliases),
        ("gpt-4o-mini", vec!["fast".to_owned(), "cheap".to_owned()])
    );
    assert_eq!(won(&prices, wanted("fast", None)), Some(2));
    assert_eq!(won(&prices, wanted("gpt-4o", None)), Some(3), "a disabled alias leads nowhere");
    assert_eq!(won(&prices, wanted(" FAST", None)), Some(2), "however it is written");
}

#[test]
fn a_circle_of_aliases_ends() {
    let prices = books(&[], &[alias("a", "b", true), alias("b", "a", true)]);
    assert_eq!(resolve(&prices, &wanted("a", None)).aliases.len(), crate::model_alias::LONGEST);
}

#[test]
fn the_longest_literal_comes_first() {
    let rows = [
        ours(1, None, "*"),
        ours(2, None, "gpt-*"),
        ours(3, None, "*-4o-mini"),
        ours(4, Some("openai"), "gpt-*"),
    ];
    let prices = books(&rows, &[]);
    assert_eq!(won(&prices, wanted("gpt-4o-mini", None)), Some(3));
    assert_eq!(won(&prices, wanted("gpt-4", None)), Some(2), "without a provider first");
    assert_eq!(won(&prices, wanted("gpt-4", Some("openai"))), Some(4), "the provider's own first");
    assert_eq!(won(&prices, wanted("gpt-4", Some("azure"))), Some(2));
    assert_eq!(won(&prices, wanted("o3", None)), Some(1));
    assert_eq!(won(&prices, wanted("日本", None)), Some(1));
}

#[test]
fn a_guess_is_never_free() {
    let free = price::Model { terms: terms(0), ..platforms(1, None, "gemini-2.5-flash") };
    let flat = price::Model {
        kind: PriceKind::Flat,
        terms: Terms::default(),
        ..platforms(2, None, "gemini-2.5-pro")
    };
    let prices = books(&[free, flat, platforms(3, None, "gemini-9-flash")], &[]);
    assert_eq!(won(&prices, wanted("gemini-2.5-flash", None)), Some(1), "by its own name it may be free");
    assert_eq!(won(&prices, wanted("gemini-2.5-flash-latest", None)), Some(3));
}

#[test]
fn a_guess_takes_only_what_is_in_force() {
    let future = price::Model { effective_from: hours(1), ..platforms(1, None, "claude-opus-5") };
    let prices = books(&[future, platforms(2, None, "claude-opus-4-8")], &[]);
    assert_eq!(won(&prices, wanted("claude-opus-77", None)), Some(2));
    assert_eq!(won(&prices, Wanted { at: hours(1), ..wanted("claude-opus-77", None) }), Some(1));
}

#[test]
fn at_most_fifty_losers_are_listed() {
    let history = |count: u128| -> Vec<price::Model> {
        let price = |n: u128| price::Model {
            effective_from: hours(-1 - i64::try_from(n).unwrap()),
            ..ours(n + 1, None, "gpt-4o")
        };
        (0..count).map(price).collect()
    };
    for (count, listed, more) in [(51, 50, false), (52, 50, true)] {
        let found = resolve(&books(&history(count), &[]), &wanted("gpt-4o", None));
        assert_eq!((found.losers.len(), found.more_losers), (listed, more));
    }
}
