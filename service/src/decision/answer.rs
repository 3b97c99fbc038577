//! What is answered: the views, and how they are put together from a decision.

use super::limits::LimitState;
use crate::{
    System,
    meter::{Check, Code, Decision, Facts, ModelRule, Price},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{
        DecisionId, KeyId, LimitId, OrganizationId, PriceId, ReservationId, ServiceAccountId, TeamId,
        UsageEventId, UserId,
    },
    json::{Tags, Texts},
    ledger::CallTerms,
    money::Nanos,
    reservation,
    status::{KeyStatus, PriceSource, ReservationState, UsageStatus},
    usage_event,
};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a call is refused.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DenialReason {
    /// Stable code.
    pub code: Code,
    /// What stands in the way, for people.
    #[schema(example = "the team that owns the key is suspended")]
    pub message: String,
    /// The limit that stands in the way; null if none does.
    #[schema(required)]
    pub limit_id: Option<LimitId>,
    /// Seconds after which the call may fit; null if not by waiting alone.
    #[schema(required, example = 17)]
    pub retry_after: Option<u64>,
    /// When the limit begins anew; null if it never does, or no limit stands in the way.
    #[schema(required)]
    pub resets_at: Option<DateTime<Utc>>,
}

/// The key that a decision is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyIdentity {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    #[schema(example = "ci")]
    pub name: String,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The owning team.
    #[schema(required)]
    pub team_id: Option<TeamId>,
    /// The owning person.
    #[schema(required)]
    pub user_id: Option<UserId>,
    /// The owning service account.
    #[schema(required)]
    pub service_account_id: Option<ServiceAccountId>,
    /// Its labels, and the call's own where it has none of the name.
    pub tags: Tags,
}

impl KeyIdentity {
    fn new(facts: &Facts, tags: Tags) -> Self {
        let key = &facts.key;
        let mut tags = tags.0;
        tags.extend(key.tags.0.clone());
        Self {
            id: key.id,
            name: key.name.clone(),
            organization_id: key.organization_id,
            team_id: key.team_id,
            user_id: key.user_id,
            service_account_id: key.service_account_id,
            tags: Tags(tags),
        }
    }
}

/// Whether the figures of an estimate bound the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// They do, if the cap on the completion is sent upstream.
    Exact,
    /// They do not: something that the price charges for was not stated, and nothing else says it.
    Estimate,
}

/// The worst case of a call, which it holds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorstCase {
    /// The most tokens of the prompt.
    #[schema(example = 1200)]
    pub input_tokens: i64,
    /// The most tokens of the completion.
    #[schema(example = 500)]
    pub output_tokens: i64,
    /// The most that it costs; null if it has no price.
    #[schema(required)]
    pub cost: Option<Nanos>,
    /// ISO 4217.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
}

/// A model that may serve a call, and the price that it will be charged by.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelPrice {
    /// The model, as the client called it.
    #[schema(example = "gpt-4o-mini")]
    pub model: String,
    /// The price; null if there is none.
    #[schema(required)]
    pub price_id: Option<PriceId>,
}

/// The answer to a gateway.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Authorization {
    /// Whether the call may be made.
    pub allowed: bool,
    /// Names the decision in logs.
    pub decision_id: DecisionId,
    /// Names the call when it is settled, voided or extended; null if it may not be made.
    #[schema(required)]
    pub reservation_id: Option<ReservationId>,
    /// When the call is unresolved if nothing is heard of it; null if it may not be made.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The key; null if what was presented proves none.
    #[schema(required)]
    pub key: Option<KeyIdentity>,
    /// The price of each model, fixed now.
    pub prices: Vec<ModelPrice>,
    /// What the call holds; null if nothing was estimated.
    #[schema(required)]
    pub estimate: Option<WorstCase>,
    /// Whether the estimate bounds the call.
    #[schema(required)]
    pub basis: Option<Basis>,
    /// The cap on the completion to send upstream: it makes the estimate a bound.
    #[schema(required, example = 500)]
    pub max_output_tokens: Option<i64>,
    /// Every limit on the call's path.
    pub limits: Vec<LimitState>,
    /// Everything that stands in the way, not only the first.
    pub reasons: Vec<DenialReason>,
}

/// What one attempt at a call cost.
#[expect(clippy::struct_excessive_bools, reason = "what is known of an attempt: each is told by itself")]
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SettledAttempt {
    /// Its event.
    pub event_id: UsageEventId,
    /// Which attempt, from 0.
    pub attempt: i32,
    /// The model, with every alias followed.
    #[schema(required, example = "gpt-4o-mini")]
    pub model: Option<String>,
    /// How it went.
    pub status: UsageStatus,
    /// What it cost; of an `estimated` attempt whose cost is not known, what the call held of limits of cost.
    pub cost: Nanos,
    /// ISO 4217.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
    /// The price that it was charged by.
    #[schema(required)]
    pub price_id: Option<PriceId>,
    /// Where the price comes from; null of a call from before that was noted.
    #[schema(required)]
    pub price_source: Option<PriceSource>,
    /// Whether what it cost is known, in the currency of every limit of cost that the call held something of.
    pub priced: bool,
    /// Whether the call used more than it held: it is counted all the same.
    pub overrun: bool,
    /// Whether a limit is charged what the call held of it, because what was used of it is not known.
    pub estimated: bool,
    /// Whether it was served and does not say what it used.
    pub usage_unclear: bool,
}

/// What became of a call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Settlement {
    /// The call.
    pub reservation_id: ReservationId,
    /// What became of it.
    pub state: ReservationState,
    /// What its attempts cost, in order; none of a call that was voided.
    pub attempts: Vec<SettledAttempt>,
}

/// A call that takes longer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Extension {
    /// The call.
    pub reservation_id: ReservationId,
    /// When it is unresolved if nothing is heard of it.
    pub expires_at: DateTime<Utc>,
}

/// How a decision comes about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// Whether the call might be made.
    pub allowed: bool,
    /// The key; null if what was presented proves none.
    #[schema(required)]
    pub key: Option<KeyIdentity>,
    /// Everything that stands in the way.
    pub reasons: Vec<DenialReason>,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// The rules about models that the key is under; a model may be called if every one of them lets it.
    pub model_rules: Vec<ModelRule>,
    /// Every limit on the call's path, with who may raise it.
    pub limits: Vec<LimitState>,
    /// What the call would hold; null if nothing was estimated.
    #[schema(required)]
    pub estimate: Option<WorstCase>,
    /// Whether the estimate bounds the call.
    #[schema(required)]
    pub basis: Option<Basis>,
}

/// A virtual key about itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnKey {
    /// Who it is.
    #[serde(flatten)]
    pub key: KeyIdentity,
    /// Its status; a key that may not be used gets a problem instead.
    pub status: KeyStatus,
    /// When it ends; null = never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// What kinds of call it may make; null = every kind.
    #[schema(required)]
    pub scopes: Option<Texts>,
    /// Networks it may be used from; null = anywhere.
    #[schema(required)]
    pub allowed_cidrs: Option<Texts>,
    /// The rules about models that it is under; a model may be called if every one of them lets it.
    pub model_rules: Vec<ModelRule>,
    /// Every limit on its path, those of its owner and organization too.
    pub limits: Vec<LimitState>,
}

/// Everything that stands in the way, the gravest first.
pub(super) fn reasons(decision: &Decision) -> Vec<DenialReason> {
    let plain =
        |code, message| DenialReason { code, message, limit_id: None, retry_after: None, resets_at: None };
    let checks =
        decision.checks.iter().filter_map(|check| Some(plain(check.code?, check.detail.to_string())));
    let limits = decision.limits.iter().filter(|verdict| verdict.blocks()).filter_map(|verdict| {
        Some(DenialReason {
            limit_id: Some(verdict.limit.id),
            retry_after: verdict.retry_after(decision.at),
            resets_at: verdict.resets_at,
            ..plain(verdict.code()?, verdict.message())
        })
    });
    let mut reasons: Vec<DenialReason> = checks.chain(limits).collect();
    reasons.sort_by_key(|reason| reason.code);
    reasons
}

fn states(decision: &Decision) -> Vec<LimitState> {
    decision.limits.iter().map(|verdict| LimitState::of_verdict(verdict, decision.at)).collect()
}

impl Basis {
    fn of(exact: bool) -> Self {
        if exact { Self::Exact } else { Self::Estimate }
    }
}

impl WorstCase {
    fn of_terms(terms: &CallTerms) -> Self {
        let (cost, currency) = terms.cost.clone().unzip();
        let (input_tokens, output_tokens) = (terms.input_tokens, terms.output_tokens);
        Self { input_tokens, output_tokens, cost: cost.map(Nanos), currency }
    }

    fn of(decision: &Decision) -> Option<(Self, Basis)> {
        let estimate = decision.estimate.as_ref()?;
        let whole = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let (cost, currency) = match &estimate.price {
            Price::Bounded(cost, currency) => (Some(*cost), Some(currency.clone())),
            Price::Unknown(_) | Price::Waived | Price::Mixed(_) => (None, None),
        };
        let (input_tokens, output_tokens) = (whole(estimate.input_tokens), whole(estimate.output_tokens));
        Some((Self { input_tokens, output_tokens, cost, currency }, Basis::of(estimate.is_exact())))
    }
}

impl Authorization {
    /// A call that may be made. Everything is told from what is kept of it, so that a repetition is told the same.
    pub(super) fn allowed(decision: &Decision, row: &reservation::Model) -> Self {
        let price = |candidate: &entity::ledger::Candidate| ModelPrice {
            model: candidate.model.clone(),
            price_id: candidate.price,
        };
        let parts = row.legs.0.iter().chain(&row.terms.caps.0);
        Self {
            allowed: true,
            decision_id: DecisionId::new(row.id.uuid()),
            reservation_id: Some(row.id),
            expires_at: Some(row.expires_at),
            key: decision.facts.as_ref().map(|facts| KeyIdentity::new(facts, row.terms.tags.clone())),
            prices: row.terms.candidates.iter().map(price).collect(),
            estimate: Some(WorstCase::of_terms(&row.terms)),
            basis: Some(Basis::of(row.terms.exact)),
            max_output_tokens: Some(row.terms.output_tokens),
            limits: parts.filter_map(|leg| LimitState::of_leg(leg, row.created_at)).collect(),
            reasons: Vec::new(),
        }
    }

    /// A call that may not be made.
    pub(super) fn denied(system: &System, decision: &Decision, tags: Tags) -> Self {
        let (estimate, basis) = WorstCase::of(decision).unzip();
        Self {
            allowed: false,
            decision_id: system.entropy.id(decision.at),
            reservation_id: None,
            expires_at: None,
            key: decision.facts.as_ref().map(|facts| KeyIdentity::new(facts, tags)),
            prices: Vec::new(),
            max_output_tokens: estimate.as_ref().map(|estimate: &WorstCase| estimate.output_tokens),
            estimate,
            basis,
            limits: states(decision),
            reasons: reasons(decision),
        }
    }
}

impl Settlement {
    pub(super) fn new(row: &reservation::Model, events: &[usage_event::Model]) -> Self {
        let attempt = |event: &usage_event::Model| SettledAttempt {
            event_id: UsageEventId::new(event.id.uuid()),
            attempt: event.attempt,
            model: event.model.clone(),
            status: event.status,
            cost: event.cost,
            currency: event.currency.clone(),
            price_id: event.price_id,
            price_source: event.price_source,
            priced: event.priced,
            overrun: event.overrun,
            estimated: event.estimated,
            usage_unclear: event.usage_unclear,
        };
        Self { reservation_id: row.id, state: row.state, attempts: events.iter().map(attempt).collect() }
    }
}

impl Explanation {
    pub(super) fn new(decision: Decision, tags: Tags) -> Self {
        let (estimate, basis) = WorstCase::of(&decision).unzip();
        Self {
            allowed: decision.allowed(),
            reasons: reasons(&decision),
            key: decision.facts.as_ref().map(|facts| KeyIdentity::new(facts, tags)),
            model_rules: decision.facts.as_ref().map(Facts::model_rules).unwrap_or_default(),
            limits: states(&decision),
            estimate,
            basis,
            checks: decision.checks,
        }
    }
}

impl OwnKey {
    pub(super) fn new(facts: &Facts, decision: &Decision) -> Self {
        Self {
            key: KeyIdentity::new(facts, Tags::default()),
            status: facts.key.status,
            expires_at: facts.key.expires_at,
            scopes: facts.key.scopes.clone(),
            allowed_cidrs: facts.key.allowed_cidrs.clone(),
            model_rules: facts.model_rules(),
            limits: states(decision),
        }
    }
}
