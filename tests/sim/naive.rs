//! The rules once more, written down naively and from what they promise: no counters, no cache, no batches. What a window has
//! counted is summed over all reservations each time; what a reservation still holds is told from the time alone.

use crate::policy::{KeyRow, Line, Lock, Policy, PriceRow, TokenRow};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use entity::{
    id::{ConnectionId, KeyId, LimitId, OrganizationId, PriceId, ReservationId, TeamId},
    reservation,
    status::{
        ConnectionStatus, KeyStatus, Metric, Period, ReservationState, Standing, SubjectKind, UnpricedPolicy,
    },
};
use service::meter::{Asker, Call, Gateway, Proof, facts::Limit};
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
    pub candidates: Vec<(String, Option<PriceId>)>,
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
            candidates: terms.candidates.iter().map(|one| (one.model.clone(), one.price)).collect(),
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

/// Whether one of these globs matches one of these models; a call of no named model may be of any.
pub fn concerns(globs: Option<&[String]>, models: &[String]) -> bool {
    let Some(globs) = globs else { return true };
    models.is_empty() || models.iter().any(|model| globs.iter().any(|glob| matches(glob, model)))
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
    pub candidates: Vec<(String, Option<PriceId>)>,
}

/// The price of a model in force at a moment.
pub fn price<'p>(
    policy: &'p Policy,
    organization: OrganizationId,
    model: &str,
    at: DateTime<Utc>,
) -> Option<&'p PriceRow> {
    let scopes = [organization, OrganizationId::PLATFORM];
    let last = |scope: OrganizationId, model: Option<&str>| {
        let all = policy.prices.iter().filter(move |row| row.organization == scope && row.from <= at);
        all.filter(move |row| row.model.as_deref() == model).max_by_key(|row| (row.from, row.id))
    };
    let default = policy.tenants.get(&organization)?.unpriced == UnpricedPolicy::Default;
    scopes
        .into_iter()
        .find_map(|scope| last(scope, Some(model)))
        .or_else(|| scopes.into_iter().filter(|_| default).find_map(|scope| last(scope, None)))
}

/// What a call may have and cost at most.
pub fn worst(policy: &Policy, organization: OrganizationId, call: &Call, at: DateTime<Utc>) -> Worst {
    let tenant = &policy.tenants[&organization];
    let input = i64::try_from(call.size.input_tokens.unwrap()).unwrap();
    let stated = call.size.max_output_tokens.map(|most| i64::try_from(most).unwrap());
    let output = stated.or(tenant.output_cap).unwrap_or(4096);
    let mut worth = if call.models.is_empty() { Worth::Unknown } else { Worth::Nothing };
    let mut candidates = Vec::new();
    for model in &call.models {
        let row = price(policy, organization, model, at);
        candidates.push((model.clone(), row.map(|row| row.id)));
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
    Worst { tokens: (input, output), worth, candidates }
}

/// Every limit that a call with a key is under, in order.
pub fn path<'p>(policy: &'p Policy, key: &KeyRow, call: &Call) -> Vec<&'p Limit> {
    let under = |limit: &&Limit| match limit.subject_kind {
        SubjectKind::Organization => limit.subject_id == key.organization.uuid(),
        SubjectKind::Team => key.team().is_some_and(|team| team.uuid() == limit.subject_id),
        SubjectKind::Member => {
            key.team().is_some() && key.team() == limit.team_id && key.issuer.uuid() == limit.subject_id
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
    own.filter(|limit| concerns(limit.models.as_ref().map(|globs| &globs.0[..]), &call.models)).collect()
}

/// The connection that a call names, if it is there.
fn line<'p>(policy: &'p Policy, key: &KeyRow, call: &Call) -> Option<(ConnectionId, &'p Line)> {
    let id = call.connection_id?;
    let line = policy.connections.get(&id).filter(|line| line.organization == key.organization)?;
    Some((id, line))
}

/// Whether a call may go by the connection that it names.
fn may_go_by(policy: &Policy, key: &KeyRow, call: &Call) -> bool {
    let Some((_, line)) = line(policy, key, call) else { return call.connection_id.is_none() };
    let fits = |globs: &Vec<String>| {
        let fits = |model: &String| globs.iter().any(|glob| matches(glob, model));
        !call.models.is_empty() && call.models.iter().all(fits)
    };
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
    let models = key.models.as_ref().is_none_or(|globs| {
        let fits = |model: &String| globs.iter().any(|glob| matches(glob, model));
        !call.models.is_empty() && call.models.iter().all(fits)
    });
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
