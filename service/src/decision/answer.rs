//! What is answered: the views, and how they are put together from a decision.

use crate::{
    System,
    meter::{Check, Code, Decision, Facts, ModelRule},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{DecisionId, KeyId, OrganizationId, ServiceAccountId, TeamId, UserId},
    json::{Tags, Texts},
    status::KeyStatus,
};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a call is refused.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Reason {
    /// Stable code.
    pub code: Code,
    /// What stands in the way, for people.
    #[schema(example = "the team that owns the key is suspended")]
    pub message: String,
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

/// The answer to a gateway.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Authorization {
    /// Whether the call may be made.
    pub allowed: bool,
    /// Names the decision in logs.
    pub decision_id: DecisionId,
    /// The key; null if what was presented proves none.
    #[schema(required)]
    pub key: Option<KeyIdentity>,
    /// Everything that stands in the way, not only the first.
    pub reasons: Vec<Reason>,
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
    pub reasons: Vec<Reason>,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// The rules about models that the key is under; a model may be called if every one of them lets it.
    pub model_rules: Vec<ModelRule>,
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
}

/// Everything that stands in the way, the gravest first.
pub(super) fn reasons(decision: &Decision) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = decision
        .checks
        .iter()
        .filter_map(|check| Some(Reason { code: check.code?, message: check.detail.to_string() }))
        .collect();
    reasons.sort_by_key(|reason| reason.code);
    reasons
}

impl Authorization {
    pub(super) fn new(system: &System, decision: &Decision, tags: Tags) -> Self {
        Self {
            allowed: decision.allowed(),
            decision_id: system.entropy.id(decision.at),
            key: decision.facts.as_ref().map(|facts| KeyIdentity::new(facts, tags)),
            reasons: reasons(decision),
        }
    }
}

impl Explanation {
    pub(super) fn new(decision: Decision, tags: Tags) -> Self {
        Self {
            allowed: decision.allowed(),
            reasons: reasons(&decision),
            key: decision.facts.as_ref().map(|facts| KeyIdentity::new(facts, tags)),
            model_rules: decision.facts.as_ref().map(Facts::model_rules).unwrap_or_default(),
            checks: decision.checks,
        }
    }
}

impl OwnKey {
    pub(super) fn new(facts: &Facts) -> Self {
        Self {
            key: KeyIdentity::new(facts, Tags::default()),
            status: facts.key.status,
            expires_at: facts.key.expires_at,
            scopes: facts.key.scopes.clone(),
            allowed_cidrs: facts.key.allowed_cidrs.clone(),
            model_rules: facts.model_rules(),
        }
    }
}
