//! Reservations: calls that were authorized, and what they hold until it is known what they used. What has passed its time
//! is unresolved: it still holds, since the provider may have charged for it, until it is settled, voided or released.

use crate::{
    Ctx, Error, Result,
    decision::Basis,
    page::{Page, PageRequest},
    usage::{known, known_key},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, KeyId, LimitId, ReservationId, ServiceAccountId, TeamId, UserId},
    json::Tags,
    ledger::{CallTerms, Leg},
    money::Nanos,
    reservation::{Column, Entity, Model},
    status::{Metric, Mode, Period, ReservationState as Stored},
    team,
};
use sea_orm::{ColumnTrait, Condition};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What of a reservation is released before it is settled: nothing, then what it holds of concurrency, then everything.
const CONCURRENCY: i32 = 1;
const EVERYTHING: i32 = 2;

/// What became of an authorized call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReservationState {
    /// It holds its worst case.
    Open,
    /// Its time is over and nobody has said what it used: it still holds its worst case.
    Unresolved,
    /// Its time was over for so long that it holds nothing any more. It can still be settled.
    Released,
    /// What it used is known.
    Settled,
    /// It did not happen.
    Voided,
}

/// Which of the reservations that are neither settled nor voided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldState {
    /// All of them: open and unresolved ones.
    #[default]
    Held,
    /// Those whose time is not over.
    Open,
    /// Those whose time is over.
    Unresolved,
    /// Those that held something until their time had been over for long.
    Released,
}

/// The worst case of a call, as it was authorized.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationEstimate {
    /// Tokens of the prompt.
    #[schema(example = 1200)]
    pub input_tokens: i64,
    /// Tokens of the completion: the cap that was to be sent upstream.
    pub output_tokens: i64,
    /// The most that it can cost; null = it has no price.
    #[schema(required)]
    pub cost: Option<Nanos>,
    /// ISO 4217.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
    /// Whether these bound the call.
    pub basis: Basis,
}

/// What a call holds of a window of a limit, or used of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationHold {
    /// The limit.
    pub limit_id: LimitId,
    /// For whom the window is counted.
    pub subject_id: Uuid,
    /// What is counted.
    pub metric: Metric,
    /// ISO 4217; of a limit of cost.
    #[schema(required)]
    pub currency: Option<String>,
    /// How long the limit counts before it begins anew.
    pub window: Period,
    /// The first moment of the window.
    pub window_start: DateTime<Utc>,
    /// What comes of not fitting.
    pub mode: Mode,
    /// How much it holds now: calls, tokens, or money in the currency's unit.
    #[schema(example = "1200")]
    pub held: String,
    /// How much it used, once that is known.
    #[schema(example = "0")]
    pub used: String,
}

/// A call that was authorized.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// The key; null = it was voided before it was authorized.
    #[schema(required)]
    pub key_id: Option<KeyId>,
    /// The team that owned the key then.
    #[schema(required)]
    pub team_id: Option<TeamId>,
    /// The person who owned the key then.
    #[schema(required)]
    pub user_id: Option<UserId>,
    /// The service account that owned the key then.
    #[schema(required)]
    pub service_account_id: Option<ServiceAccountId>,
    /// What became of it.
    pub state: ReservationState,
    /// The models that may serve it, as the client calls them.
    pub models: Vec<String>,
    /// The connection it names.
    #[schema(required)]
    pub connection_id: Option<ConnectionId>,
    /// The client's project.
    #[schema(required)]
    pub project: Option<String>,
    /// The client's session.
    #[schema(required)]
    pub session_id: Option<String>,
    /// The labels of the key and of the call.
    pub tags: Tags,
    /// Its worst case.
    pub estimate: ReservationEstimate,
    /// What it holds of which windows, or used of them.
    pub holds: Vec<ReservationHold>,
    /// When it was authorized.
    pub created_at: DateTime<Utc>,
    /// From then on it is unresolved.
    pub expires_at: DateTime<Utc>,
    /// When something of it is to be released next; null = never.
    #[schema(required)]
    pub release_at: Option<DateTime<Utc>>,
    /// When it was settled or voided.
    #[schema(required)]
    pub closed_at: Option<DateTime<Utc>>,
}
crate::page!(ReservationPage, Reservation);

impl ReservationState {
    fn of(row: &Model, now: DateTime<Utc>) -> Self {
        match row.state {
            Stored::Settled => Self::Settled,
            Stored::Voided => Self::Voided,
            Stored::Held if row.released >= EVERYTHING => Self::Released,
            Stored::Held if row.expires_at <= now => Self::Unresolved,
            Stored::Held => Self::Open,
        }
    }
}

impl HeldState {
    fn condition(self, now: DateTime<Utc>) -> Condition {
        let held = Condition::all().add(Column::State.eq(Stored::Held));
        let holding = held.clone().add(Column::Released.lt(EVERYTHING));
        match self {
            Self::Held => holding,
            Self::Open => holding.add(Column::ExpiresAt.gt(now)),
            Self::Unresolved => holding.add(Column::ExpiresAt.lte(now)),
            Self::Released => held.add(Column::Released.gte(EVERYTHING)),
        }
    }
}

impl From<&CallTerms> for ReservationEstimate {
    fn from(terms: &CallTerms) -> Self {
        let cost = terms.cost.as_ref();
        Self {
            input_tokens: terms.input_tokens,
            output_tokens: terms.output_tokens,
            cost: cost.map(|(cost, _)| Nanos(*cost)),
            currency: cost.map(|(_, currency)| currency.clone()),
            basis: if terms.exact { Basis::Exact } else { Basis::Estimate },
        }
    }
}

/// An amount of what is counted, as a limit states it.
fn amount(metric: Metric, amount: i64) -> String {
    if metric == Metric::Cost { Nanos(amount).to_string() } else { amount.to_string() }
}

impl ReservationHold {
    /// A leg keeps what it held when it was authorized, so that settling needs nothing else; what it holds by now depends on
    /// what became of the reservation.
    fn of(row: &Model, leg: Leg) -> Result<Self> {
        let released =
            row.released >= EVERYTHING || row.released >= CONCURRENCY && leg.metric == Metric::Concurrency;
        let held = if row.state == Stored::Held && !released { leg.held } else { 0 };
        let window_start = DateTime::from_timestamp_micros(leg.window);
        Ok(Self {
            limit_id: leg.limit,
            subject_id: leg.subject,
            metric: leg.metric,
            currency: leg.currency,
            window: leg.period,
            window_start: window_start.ok_or_else(|| Error::internal("a window that never began"))?,
            mode: leg.mode,
            held: amount(leg.metric, held),
            used: amount(leg.metric, leg.used),
        })
    }
}

impl Reservation {
    fn of(mut row: Model, now: DateTime<Utc>) -> Result<Self> {
        let legs = std::mem::take(&mut row.legs.0).into_iter();
        let holds = legs.map(|leg| ReservationHold::of(&row, leg)).collect::<Result<_>>()?;
        Ok(Self {
            id: row.id,
            key_id: row.key_id,
            team_id: row.team_id,
            user_id: row.user_id,
            service_account_id: row.service_account_id,
            state: ReservationState::of(&row, now),
            estimate: ReservationEstimate::from(&row.terms),
            models: row.terms.candidates.into_iter().map(|candidate| candidate.model).collect(),
            connection_id: row.terms.connection,
            project: row.terms.project,
            session_id: row.terms.session,
            tags: row.terms.tags,
            holds,
            created_at: row.created_at,
            expires_at: row.expires_at,
            release_at: row.release_at,
            closed_at: row.closed_at,
        })
    }
}

/// Which reservations: those that meet everything that is given.
#[derive(Debug, Default)]
pub struct ReservationFilter {
    /// Those in this state now; those that hold something unless said.
    pub state: Option<HeldState>,
    /// Only of this key.
    pub key_id: Option<KeyId>,
    /// Only of keys that this team owned then.
    pub team_id: Option<TeamId>,
}

impl ReservationFilter {
    /// The filter as a condition. A key or a team that is not there, or not in reach, is not found.
    async fn condition(self, ctx: &Ctx, now: DateTime<Utc>) -> Result<Condition> {
        let held = Condition::all().add(Column::State.eq(Stored::Held));
        if let Some(key) = self.key_id {
            let own = held.clone().add(Column::KeyId.eq(key));
            known_key::<Entity>(ctx, key, own).await?;
        }
        if let Some(team) = self.team_id {
            known::<team::Entity, Entity>(ctx, team, held.add(Column::TeamId.eq(team))).await?;
        }
        Ok(Condition::all()
            .add(self.state.unwrap_or_default().condition(now))
            .add_option(self.key_id.map(|key| Column::KeyId.eq(key)))
            .add_option(self.team_id.map(|team| Column::TeamId.eq(team))))
    }
}

/// One page of the reservations within reach that are neither settled nor voided, the latest call first.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: ReservationFilter) -> Result<Page<Reservation>> {
    let now = ctx.now().await?;
    let condition = filter.condition(ctx, now).await?;
    let rows = ctx.repository::<Entity>().rows(page, condition).await?;
    rows.try_map(|row| Reservation::of(row, now))
}

/// One reservation, whatever became of it.
pub async fn get(ctx: &Ctx, id: ReservationId) -> Result<Reservation> {
    let row = ctx.repository::<Entity>().find(id).await?;
    Reservation::of(row, ctx.now().await?)
}
