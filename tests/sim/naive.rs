//! The rules once more, written down naively and from what they promise: no counters, no cache, no batches. What a window has
//! counted is summed over all reservations each time; what a reservation still holds is told from the time alone.

use crate::{
    names::{Named, fold, of_call, plain, together},
    policy::{KeyRow, Line, Lock, Policy, PriceRow, TokenRow},
};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use entity::{
    id::{ConnectionId, KeyId, LimitId, OrganizationId, PriceId, ReservationId, TeamId},
    reservation,
    status::{
        ConnectionStatus, KeyStatus, Metric, Period, ReservationState, Standing, SubjectKind, UnpricedPolicy,
    },
};
use service::meter::{Asker, Call, Gateway, Proof, facts::Limit};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a call holds or has used of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub limit: LimitId,
    pub subject: Uuid,
    pub window: DateTime<Utc>,
    pub metric: Metric,
    pub models: Option<Vec<String>>,
    pub currency: Option<String>,
    pub held: i64,
    pub used: i64,
    /// Whether the limit was asked when the call was authorized.
    pub asked: bool,
}

/// A model that a call was authorized for, with its price and the names that it does not tell by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub model: String,
    pub price: Option<PriceId>,
    pub names: Vec<String>,
}

/// A call on the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    pub state: ReservationState,
    pub parts: Vec<Part>,
    pub body: Vec<u8>,
    pub settle: Option<Vec<u8>>,
    pub made: DateTime<Utc>,
    pub expires: DateTime<Utc>,
    pub release_after: Option<i64>,
    pub team: Option<TeamId>,
    pub key: Option<KeyId>,
    pub connection: Option<ConnectionId>,
    pub candidates: Vec<Candidate>,
    pub tokens: (i64, i64),
    pub cost: Option<(i64, String)>,
    pub exact: bool,
    /// From when on its time is counted, if that is not when it was made.
    pub from: Option<DateTime<Utc>>,
    /// What of it has been released: nothing, its place among the open calls, everything.
    pub released: i32,
}

/// When an open call ends at a time: one that is counted from a moment yet to come ends as long after now.
pub fn ends(from: DateTime<Utc>, expires: DateTime<Utc>, at: DateTime<Utc>) -> DateTime<Utc> {
    if from > at { at + (expires - from) } else { expires }
}

/// Whether something was released, and so is not held any more, whatever the clock says afterwards.
pub fn is_released(released: i32, metric: Metric) -> bool {
    released >= 2 || released == 1 && metric == Metric::Concurrency
}

impl Booked {
    /// The same at a time that may be before it was made.
    pub fn at(self, at: DateTime<Utc>) -> Self {
        let from = self.from.unwrap_or(self.made);
        if self.state != ReservationState::Held || from <= at {
            return self;
        }
        Self { expires: ends(from, self.expires, at), from: Some(at), ..self }
    }

    /// The same, whatever of it was released.
    pub fn whole(self) -> Self {
        Self { released: 0, ..self }
    }

    /// What a row says.
    pub fn of(row: &reservation::Model) -> Self {
        let part = |leg: &entity::ledger::Leg| Part {
            limit: leg.limit,
            subject: leg.subject,
            window: DateTime::from_timestamp_micros(leg.window).unwrap(),
            metric: leg.metric,
            models: leg.models.clone(),
            currency: leg.currency.clone(),
            held: leg.held,
            used: leg.used,
            asked: leg.remaining.is_some(),
        };
        let candidate = |one: &entity::ledger::Candidate| Candidate {
            model: one.model.clone(),
            price: one.price,
            names: one.names.clone(),
        };
        let terms = &row.terms;
        Self {
            state: row.state,
            parts: row.legs.0.iter().map(part).collect(),
            body: row.body_hash.clone(),
            settle: row.settle_hash.clone(),
            made: row.created_at,
            expires: row.expires_at,
            release_after: terms.release_after,
            team: row.team_id,
            key: row.key_id,
            connection: terms.connection,
            candidates: terms.candidates.iter().map(candidate).collect(),
            tokens: (terms.input_tokens, terms.output_tokens),
            cost: terms.cost.clone(),
            exact: terms.exact,
            from: row.counted_from,
            released: row.released,
        }
    }
}

/// Whether an open call still holds what it held of such a metric, at a time.
pub fn holds(metric: Metric, expires: DateTime<Utc>, release_after: Option<i64>, at: DateTime<Utc>) -> bool {
    if metric == Metric::Concurrency {
        return at < expires;
    }
    release_after.is_none_or(|after| at < expires + TimeDelta::seconds(after))
}

/// Whether a glob matches.
pub fn matches(glob: &str, text: &str) -> bool {
    fn go(glob: &[u8], text: &[u8]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| go(rest, &text[skip..])),
            Some((first, rest)) => text.first() == Some(first) && go(rest, &text[1..]),
        }
    }
    go(glob.as_bytes(), text.as_bytes())
}

/// Whether one of these globs matches one of these names; a call of no named model may be of any.
pub fn concerns(globs: Option<&[String]>, names: &BTreeSet<String>) -> bool {
    let Some(globs) = globs else { return true };
    names.is_empty() || names.iter().any(|name| globs.iter().any(|glob| matches(&fold(glob), name)))
}

/// The first moment of the window that a moment is in.
pub fn window(period: Period, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let day = |date: NaiveDate| date.and_hms_opt(0, 0, 0).unwrap().and_utc();
    let month = |month: u32| day(NaiveDate::from_ymd_opt(at.year(), month, 1).unwrap());
    let today = at.date_naive();
    let hour = day(today) + TimeDelta::hours(at.hour().into());
    Some(match period {
        Period::Request => return None,
        Period::Minute => hour + TimeDelta::minutes(at.minute().into()),
        Period::Hour => hour,
        Period::Day => day(today),
        Period::Week => {
            let mut monday = today;
            while monday.weekday() != chrono::Weekday::Mon {
                monday = monday.pred_opt().unwrap();
            }
            day(monday)
        }
        Period::Month => month(at.month()),
        Period::Quarter => month([1, 4, 7, 10][at.month0() as usize / 3]),
        Period::Year => month(1),
        Period::Total => DateTime::UNIX_EPOCH,
    })
}

/// When an id was made.
pub fn made(id: ReservationId) -> DateTime<Utc> {
    let millis = id.uuid().as_u128() >> 80;
    DateTime::from_timestamp_millis(i64::try_from(millis).unwrap()).unwrap()
}

/// What a call may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worth {
    Most(i64, String),
    Unknown,
    Nothing,
    Mixed,
}

/// The worst case of a call.
#[derive(Debug, Clone)]
pub struct Worst {
    pub tokens: (i64, i64),
    pub worth: Worth,
    /// Whether its prices charge for nothing.
    pub free: bool,
    pub candidates: Vec<Candidate>,
}

/// The price of a call of a model at a moment: of the first of its names that has one, else a guess, else the default.
pub fn price<'p>(
    policy: &'p Policy,
    organization: OrganizationId,
    named: &Named,
    at: DateTime<Utc>,
) -> Option<&'p PriceRow> {
    let scopes = [organization, OrganizationId::PLATFORM];
    let last = |scope: OrganizationId, model: Option<&str>| {
        let all = policy.prices.iter().filter(move |row| row.organization == scope && row.from <= at);
        all.filter(move |row| row.model.as_deref() == model).max_by_key(|row| (row.from, row.id))
    };
    // Where the connection says the provider, a prefix is not another one.
    let spellings = |name: &str| {
        let rest = name.split_once('/').filter(|_| !named.connected).map(|(_, rest)| rest.to_owned());
        std::iter::once(fold(name)).chain(rest.map(|rest| fold(&rest))).collect::<Vec<_>>()
    };
    let stated = |name: &String| {
        let all =
            scopes.into_iter().flat_map(|scope| spellings(name).into_iter().map(move |name| (scope, name)));
        all.into_iter().find_map(|(scope, name)| last(scope, Some(&name)))
    };
    let alike = |name: &String| {
        let row = last(OrganizationId::PLATFORM, Some(fold(name).rsplit('/').next().unwrap_or_default()));
        row.filter(|row| row.rates != (0, 0))
    };
    let default = policy.tenants.get(&organization)?.unpriced == UnpricedPolicy::Default;
    let rests: Vec<String> =
        named.chain.last().filter(|_| named.connected).map(|name| plain(name)).unwrap_or_default();
    let found = named.priced.iter().chain(&rests).find_map(stated);
    let found = found.or_else(|| named.priced.iter().find_map(alike));
    found.or_else(|| scopes.into_iter().filter(|_| default).find_map(|scope| last(scope, None)))
}

/// What a call may have and cost at most.
pub fn worst(policy: &Policy, key: &KeyRow, call: &Call, at: DateTime<Utc>) -> Worst {
    let organization = key.organization;
    let tenant = &policy.tenants[&organization];
    let input = i64::try_from(call.size.input_tokens.unwrap()).unwrap();
    let stated = call.size.max_output_tokens.map(|most| i64::try_from(most).unwrap());
    let output = stated.or(tenant.output_cap).unwrap_or(4096);
    let mut worth = if call.models.is_empty() { Worth::Unknown } else { Worth::Nothing };
    let (mut candidates, mut free) = (Vec::new(), !call.models.is_empty());
    for named in of_call(policy, key, call) {
        let row = price(policy, organization, &named, at);
        let own = plain(&named.model);
        let names = named.all.iter().filter(|name| !own.contains(name)).cloned().collect();
        free &= row.is_some_and(|row| row.rates == (0, 0));
        candidates.push(Candidate { model: named.model, price: row.map(|row| row.id), names });
        worth = match (worth, row) {
            (Worth::Unknown, _) => Worth::Unknown,
            (worth, None) if tenant.unpriced == UnpricedPolicy::Allow => worth,
            (_, None) => Worth::Unknown,
            (worth, Some(row)) => {
                let cost = input * row.rates.0 + output * row.rates.1;
                match worth {
                    Worth::Nothing => Worth::Most(cost, row.currency.clone()),
                    Worth::Most(other, of) if of == row.currency => Worth::Most(cost.max(other), of),
                    _ => Worth::Mixed,
                }
            }
        };
    }
    Worst { tokens: (input, output), worth, free, candidates }
}

/// Every limit that a call with a key is under, in order.
pub fn path<'p>(policy: &'p Policy, key: &KeyRow, call: &Call, names: &BTreeSet<String>) -> Vec<&'p Limit> {
    let under = |limit: &&Limit| match limit.subject_kind {
        SubjectKind::Organization => limit.subject_id == key.organization.uuid(),
        SubjectKind::Team => key.team().is_some_and(|team| team.uuid() == limit.subject_id),
        SubjectKind::Member => {
            let issued = key.team().is_some() && key.team() == limit.team_id;
            let place = limit.team_id.zip(key.person()).map(|(team, user)| (user, team));
            let owned = place.is_some_and(|place| policy.places.contains(&place));
            let person = key.person().unwrap_or(key.issuer);
            (issued || owned) && person.uuid() == limit.subject_id
        }
        SubjectKind::User => key.person().is_some_and(|user| user.uuid() == limit.subject_id),
        SubjectKind::ServiceAccount => key.service().is_some_and(|id| id.uuid() == limit.subject_id),
        SubjectKind::Key => key.id.uuid() == limit.subject_id,
        SubjectKind::Connection => {
            line(policy, key, call).is_some_and(|(id, _)| id.uuid() == limit.subject_id)
        }
    };
    let own = policy.limits.values().map(AsRef::as_ref);
    let own = own.filter(|limit| limit.organization_id == key.organization).filter(under);
    own.filter(|limit| concerns(limit.models.as_ref().map(|globs| &globs.0[..]), names)).collect()
}

/// Whether an allow list has every model of a call, each by one of its names.
fn lets(globs: &[String], named: &[Named]) -> bool {
    !named.is_empty() && named.iter().all(|one| concerns(Some(globs), &one.all.iter().cloned().collect()))
}

/// The connection that a call names, if it is there.
pub fn line<'p>(policy: &'p Policy, key: &KeyRow, call: &Call) -> Option<(ConnectionId, &'p Line)> {
    let id = call.connection_id?;
    let line = policy.connections.get(&id).filter(|line| line.organization == key.organization)?;
    Some((id, line))
}

/// Whether a call may go by the connection that it names.
fn may_go_by(policy: &Policy, key: &KeyRow, call: &Call) -> bool {
    let Some((_, line)) = line(policy, key, call) else { return call.connection_id.is_none() };
    let fits = |globs: &Vec<String>| lets(globs, &of_call(policy, key, call));
    line.status == ConnectionStatus::Active
        && line.team.is_none_or(|team| key.team() == Some(team))
        && line.models.as_ref().is_none_or(fits)
}

/// Whether a key may be used for a call, whatever the limits say.
pub fn may(
    policy: &Policy,
    key: &KeyRow,
    lock: Option<&Lock>,
    asked: (&Asker, &Call),
    at: DateTime<Utc>,
) -> bool {
    let active = |standing: Option<&Standing>| standing == Some(&Standing::Active);
    let (asker, call) = asked;
    let runs = |end: Option<DateTime<Utc>>| end.is_none_or(|end| at < end);
    let owner = if let Some(user) = key.person() {
        active(policy.members.get(&(key.organization, user))) && active(policy.accounts.get(&user))
    } else if let Some(team) = key.team() {
        active(policy.teams.get(&team).map(|(_, standing)| standing))
    } else {
        active(key.service().and_then(|id| policy.services.get(&id)).map(|(_, standing)| standing))
    };
    let named = of_call(policy, key, call);
    let models = key.models.as_ref().is_none_or(|globs| lets(globs, &named));
    let denies = key.denied.as_ref().is_some_and(|globs| concerns(Some(globs), &together(&named)));
    let models = models && !denies && !named.iter().any(|one| one.disabled);
    key.status == KeyStatus::Active
        && runs(key.expires_at)
        && lock.is_none_or(|lock| runs(lock.expires_at))
        && owner
        && policy.tenants.get(&key.organization).is_some_and(|tenant| tenant.status == Standing::Active)
        && (models && may_go_by(policy, key, call) || matches!(asker, Asker::Key))
}

/// The token of a gateway, if it may ask what it asks.
pub fn admit<'p>(
    policy: &'p Policy,
    gateway: &Gateway,
    at: DateTime<Utc>,
) -> Result<&'p TokenRow, &'static str> {
    let row = policy.tokens.get(&gateway.id()).filter(|row| row.lock.text == gateway.token.expose());
    let row = row.ok_or("token_invalid")?;
    if row.lock.expires_at.is_some_and(|end| end <= at) {
        return Err("token_expired");
    }
    let word = gateway.purpose.word();
    let allowed = row.scopes.iter().any(|scope| scope == word || scope == "*");
    if allowed { Ok(row) } else { Err("forbidden") }
}

/// Whether a token of a gateway may be used for a key.
pub fn serves(token: &TokenRow, key: &KeyRow, at: DateTime<Utc>) -> bool {
    let runs = token.lock.expires_at.is_none_or(|end| at < end);
    runs && reaches(token, key.organization, key.team())
}

/// Whether a token of a gateway is for what belongs to an organization and maybe a team.
pub fn reaches(token: &TokenRow, organization: OrganizationId, team: Option<TeamId>) -> bool {
    let own = [OrganizationId::PLATFORM, organization].contains(&token.organization);
    own && token.teams.as_ref().is_none_or(|teams| team.is_some_and(|team| teams.contains(&team)))
}

/// The key that is meant, and the secret that proves it.
pub fn proved<'p>(policy: &'p Policy, proof: &Proof) -> Option<(&'p KeyRow, Option<&'p Lock>)> {
    let key = policy.keys.get(&proof.key()?)?;
    match proof {
        Proof::Secret(token) => {
            let lock = key.locks.iter().find(|lock| lock.text == token.expose())?;
            Some((key, Some(lock)))
        }
        Proof::Id(_) => Some((key, None)),
        Proof::Nothing => None,
    }
}
