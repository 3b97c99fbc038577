//! Who is there in the beginning: organizations with teams, people, service accounts, keys, limits of every kind, gateway
//! tokens and prices, all by chance.

use crate::{
    dice::Dice,
    policy::{AliasRow, KeyRow, Line, Lock, Owned, Policy, PriceRow, Tenant, TokenRow},
    world::World,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{ConnectionId, GatewayTokenId, Id, KeyId, ModelAliasId, OrganizationId, TeamId, UserId},
    json::Texts,
    status::{ConnectionStatus, KeyStatus, Metric, Mode, Period, Standing, SubjectKind, UnpricedPolicy},
};
use service::{
    meter::facts::Limit,
    secrets::{Key32, Secrets, Versions},
    token::{Token, TokenKind},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};
use uuid::Uuid;

/// The configured secrets, of every instance.
pub static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let key = |byte| Versions::single(Key32::new([byte; 32]));
    Secrets { encryption: key(1), pepper: key(2), signing: key(3) }
});

/// Models that have a price, in one of two currencies; the last one has none.
pub const MODELS: [&str; 4] = ["alder", "birch", "cedar-9", "dogwood"];
/// What limits are for, if not for every model.
const GLOBS: [&str; 5] = ["alder", "*r*", "ced*", " BIR*", "elm"];
/// What clients call models: by their names, by other spellings, by aliases, if these are there.
pub const NAMES: [&str; 12] = [
    "alder",
    "birch",
    "cedar-9",
    "dogwood",
    "ALDER",
    " Birch ",
    "oak/alder",
    "fast",
    "Oak/Fast",
    "ash",
    "elm",
    "ELM",
];
/// Aliases and what they may lead to: to others only forwards, so that there is no circle.
const ALIASES: [(&str, &[&str]); 3] = [
    ("fast", &["alder", "oak/Birch", "cedar-9", "ash", "Elm"]),
    ("Ash", &["birch", "dogwood", "elm"]),
    ("elm", &["alder", "Birch", "cedar-9"]),
];
/// What upstreams call models.
const UPSTREAM: [&str; 5] = ["alder", "Birch", "cedar-9", "oak/alder", "larch"];

const PERIODS: [Period; 9] = [
    Period::Request,
    Period::Minute,
    Period::Hour,
    Period::Day,
    Period::Week,
    Period::Month,
    Period::Quarter,
    Period::Year,
    Period::Total,
];
const METRICS: [Metric; 6] = [
    Metric::Requests,
    Metric::Tokens,
    Metric::InputTokens,
    Metric::OutputTokens,
    Metric::Cost,
    Metric::Concurrency,
];

/// A new id.
pub fn id<K>(dice: &mut Dice) -> Id<K> {
    Id::new(dice.uuid())
}

fn lock(dice: &mut Dice, kind: TokenKind, id: Uuid, expires_at: Option<DateTime<Utc>>) -> Lock {
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&dice.bits().to_be_bytes());
    let token = Token::assemble(kind, id, &secret);
    let (pepper, digest) = SECRETS.digest(token.signed_part());
    let text = token.expose().to_owned();
    Lock { id: self::id(dice), text, pepper, digest: digest.to_vec(), expires_at }
}

/// A new key, of anybody in the organization.
pub fn key(dice: &mut Dice, policy: &Policy, organization: OrganizationId, now: DateTime<Utc>) -> KeyRow {
    let teams: Vec<_> = policy.teams.iter().filter(|(_, (own, _))| *own == organization).collect();
    let people: Vec<_> = policy.members.keys().filter(|(own, _)| *own == organization).collect();
    let services: Vec<_> = policy.services.iter().filter(|(_, (own, _))| *own == organization).collect();
    let owner = match dice.below(5) {
        0 => Owned::Person(dice.pick(&people).1),
        1 => Owned::Service(*dice.pick(&services).0),
        _ => Owned::Team(*dice.pick(&teams).0),
    };
    let id: KeyId = id(dice);
    let mut locks = vec![lock(dice, TokenKind::VirtualKey, id.uuid(), None)];
    if dice.one_in(4) {
        let end = Some(now + TimeDelta::seconds(dice.between(60, 4000)));
        locks.push(lock(dice, TokenKind::VirtualKey, id.uuid(), end));
    }
    let models = dice.one_in(6).then(|| vec!["alder".to_owned(), "*R*".to_owned()]);
    let denied = dice.one_in(6).then(|| vec![dice.pick(&GLOBS).to_owned()]);
    let expires_at = dice.one_in(8).then(|| now + TimeDelta::seconds(dice.between(60, 40_000)));
    let (status, issuer) = (KeyStatus::Active, dice.pick(&people).1);
    KeyRow { id, organization, owner, issuer, status, models, denied, expires_at, locks }
}

/// A new limit of something that the organization has.
pub fn limit(dice: &mut Dice, policy: &Policy, organization: OrganizationId, connection: Uuid) -> Arc<Limit> {
    let keys: Vec<&KeyRow> = policy.keys.values().filter(|key| key.organization == organization).collect();
    let key = dice.pick(&keys);
    let (subject_kind, subject_id, team_id) = match (dice.below(7), key.owner) {
        (0 | 1, _) => (SubjectKind::Organization, organization.uuid(), None),
        (2, _) => (SubjectKind::Key, key.id.uuid(), None),
        (3, _) => (SubjectKind::Connection, connection, None),
        (4, Owned::Team(team)) => (SubjectKind::Member, key.issuer.uuid(), Some(team)),
        (_, Owned::Team(team)) => (SubjectKind::Team, team.uuid(), None),
        (_, Owned::Person(user)) => (SubjectKind::User, user.uuid(), None),
        (_, Owned::Service(account)) => (SubjectKind::ServiceAccount, account.uuid(), None),
    };
    let metric = dice.pick(&METRICS);
    let period = if metric == Metric::Concurrency { Period::Total } else { dice.pick(&PERIODS) };
    let mode = [Mode::Block, Mode::Block, Mode::Block, Mode::Warn, Mode::Shadow][dice.below(5)];
    let currency = (metric == Metric::Cost).then(|| ["USD", "USD", "EUR"][dice.below(3)].to_owned());
    let models = dice.one_in(4).then(|| Texts(vec![dice.pick(&GLOBS).to_owned()]));
    let amount = amount(dice, metric, period);
    Arc::new(Limit {
        id: id(dice),
        organization_id: organization,
        subject_kind,
        subject_id,
        team_id,
        metric,
        currency,
        period,
        models,
        mode,
        amount,
    })
}

/// An amount that a few calls use up.
pub fn amount(dice: &mut Dice, metric: Metric, period: Period) -> i64 {
    let calls = if period == Period::Request { dice.between(0, 2) } else { dice.between(1, 12) };
    let one = match metric {
        Metric::Requests | Metric::Concurrency => 1,
        Metric::Tokens => 300,
        Metric::InputTokens | Metric::OutputTokens => 150,
        Metric::Cost => 900,
    };
    calls * one
}

/// A price from a moment on.
pub fn price(
    dice: &mut Dice,
    organization: OrganizationId,
    model: Option<&str>,
    from: DateTime<Utc>,
) -> PriceRow {
    // A model has one currency, or calls of several models would seldom fit together.
    let currency = if model == Some("cedar-9") { "EUR" } else { "USD" };
    // Now and then a model is free.
    let free = dice.one_in(6);
    let rates = if free { (0, 0) } else { (dice.between(1, 4), dice.between(1, 8)) };
    let model = model.map(str::to_owned);
    PriceRow { id: id(dice), organization, model, currency: currency.to_owned(), rates, from }
}

/// How many aliases there may be.
pub fn aliases() -> usize {
    ALIASES.len()
}

/// Which the nth one is.
pub fn alias_id(organization: OrganizationId, n: usize) -> ModelAliasId {
    ModelAliasId::new(Uuid::from_u128(organization.uuid().as_u128() ^ (n as u128 + 2)))
}

/// The nth alias, if it is there at all: what it leads to, and whether it is enabled.
pub fn alias(dice: &mut Dice, organization: OrganizationId, n: usize) -> Option<AliasRow> {
    let (name, targets) = ALIASES[n];
    let (there, target, enabled) = (!dice.one_in(4), dice.pick(targets), !dice.one_in(4));
    let id = alias_id(organization, n);
    let (name, target) = (name.to_owned(), target.to_owned());
    there.then_some(AliasRow { id, organization, name, target, enabled })
}

/// The connection that calls of an organization may name.
pub fn connection(organization: OrganizationId) -> Uuid {
    Uuid::from_u128(organization.uuid().as_u128() ^ 1)
}

/// What the connection of an organization may be: at work or not, anybody's or a team's, for some models or for all.
pub fn line(dice: &mut Dice, policy: &Policy, organization: OrganizationId) -> Line {
    let own: BTreeMap<_, _> = policy.teams.iter().filter(|(_, (own, _))| *own == organization).collect();
    let teams: Vec<TeamId> = own.into_keys().copied().collect();
    let team = dice.one_in(5).then(|| dice.pick(&teams));
    let models = dice.one_in(5).then(|| vec!["alder".to_owned(), "*r*".to_owned()]);
    let clients = ["fast", "ALDER", "elm", "dogwood"];
    let mapped = clients.into_iter().filter(|_| dice.one_in(3)).map(str::to_owned).collect::<Vec<_>>();
    let mappings =
        mapped.into_iter().map(|client| (client, dice.pick(&UPSTREAM).to_owned(), !dice.one_in(4)));
    let mappings = mappings.collect();
    let status = match dice.below(6) {
        0 => ConnectionStatus::Disabled,
        1 if dice.one_in(3) => ConnectionStatus::Deleted,
        _ => ConnectionStatus::Active,
    };
    Line { organization, team, status, models, mappings }
}

/// Fills an empty world.
pub fn found(world: &mut World) {
    let (now, count) = (world.now, world.dice.between(1, 3));
    let dice = &mut world.dice;
    let mut policy = Policy::default();
    let long_ago = now - TimeDelta::days(400);
    for model in [Some("alder"), Some("birch"), Some("cedar-9"), None] {
        policy.prices.push(price(dice, OrganizationId::PLATFORM, model, long_ago));
    }
    policy.bind(OrganizationId::PLATFORM);
    let organizations: Vec<OrganizationId> = (0..count).map(|_| id(dice)).collect();
    for organization in &organizations {
        tenant(dice, &mut policy, *organization, now);
    }
    for n in 0..=organizations.len() {
        let organization = organizations.get(n).copied().unwrap_or(OrganizationId::PLATFORM);
        for _ in 0..2 {
            let token = token(dice, &policy, organization, now);
            policy.tokens.insert(token.id, token);
        }
    }
    world.policy = Arc::new(policy);
    world.open(OrganizationId::PLATFORM);
    organizations.into_iter().for_each(|organization| world.open(organization));
}

fn tenant(dice: &mut Dice, policy: &mut Policy, organization: OrganizationId, now: DateTime<Utc>) {
    let unpriced = [UnpricedPolicy::Refuse, UnpricedPolicy::Default, UnpricedPolicy::Allow][dice.below(3)];
    let release_after = [None, Some(0), Some(90), Some(3600), Some(86_400)][dice.below(5)];
    let output_cap = dice.one_in(2).then(|| dice.between(20, 120));
    let row = Tenant { status: Standing::Active, output_cap, release_after, unpriced };
    policy.tenants.insert(organization, row);
    for _ in 0..2 {
        policy.teams.insert(id(dice), (organization, Standing::Active));
        let user: UserId = id(dice);
        policy.accounts.insert(user, Standing::Active);
        policy.members.insert((organization, user), Standing::Active);
    }
    policy.services.insert(id(dice), (organization, Standing::Active));
    for _ in 0..dice.between(2, 4) {
        let key = key(dice, policy, organization, now);
        policy.keys.insert(key.id, key);
    }
    let line = line(dice, policy, organization);
    policy.connections.insert(ConnectionId::new(connection(organization)), line);
    let places: Vec<_> =
        policy.members.keys().filter(|(own, _)| *own == organization).map(|(_, user)| *user).collect();
    let teams: Vec<_> =
        policy.teams.iter().filter(|(_, (own, _))| *own == organization).map(|(id, _)| *id).collect();
    for user in places {
        policy.places.extend(dice.one_in(2).then(|| (user, dice.pick(&teams))));
    }
    policy.aliases.extend((0..ALIASES.len()).filter_map(|n| alias(dice, organization, n)));
    for _ in 0..dice.between(1, 6) {
        let limit = limit(dice, policy, organization, connection(organization));
        policy.limits.insert(limit.id, limit);
    }
    policy.bind(organization);
}

fn token(dice: &mut Dice, policy: &Policy, organization: OrganizationId, now: DateTime<Utc>) -> TokenRow {
    let id: GatewayTokenId = id(dice);
    let expires_at = dice.one_in(8).then(|| now + TimeDelta::seconds(dice.between(600, 40_000)));
    let lock = lock(dice, TokenKind::Gateway, id.uuid(), expires_at);
    let own: BTreeMap<_, _> = policy.teams.iter().filter(|(_, (own, _))| *own == organization).collect();
    let teams: Vec<TeamId> = own.into_keys().copied().collect();
    let teams = (!teams.is_empty() && dice.one_in(5)).then(|| vec![teams[0]]);
    let scopes = if dice.one_in(8) { vec!["authorize".into(), "settle".into()] } else { vec!["*".into()] };
    TokenRow { id, organization, teams, scopes, lock }
}
